// The daemon's first lines; everything else is in Program.swift.

internal import LinuxSystem

Process.exitAtOnce(Program.run(Process.arguments))
