// The daemon's first lines; everything else is in Program.swift.

internal import LinuxSystem

Process.exit(Program.run(Array(CommandLine.arguments.dropFirst())))
