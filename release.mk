# How the programs are built for release; included by the Makefile and by the Debian package. RELEASE: flags of swift build,
# with $(STATIC) made before. Measured with the daemon under systemd's protocol, exec → first reply and resident memory at
# rest: 3.2 ms and 9.8 MB with the linker's defaults, 1.7 ms and 6.1 MB like this; of a later daemon 2.9 ms and 7.4 MB, and with
# libsystemd 3.9 ms and 8.5 MB (docs/performance.md).

# One process for one program has no use for shared C++ libraries: finding, mapping and relocating them costs 0.6 ms. The
# compiler asks for -lstdc++ by itself, so the directory that is searched first has nothing but the static one.
STATIC ?= $(CURDIR)/.build/static

# Exclusivity is checked here too (-enforce-exclusivity=checked is the default): two accesses to one variable at a time, where
# one writes, end the process instead of going on with what is half written (Sources/LinuxSystem/DESIGN.md, Exclusive access).
#
# The compiler knows from a profile which branches are usual and which functions are called most (scripts/make-profile.py): point
# SELECTs through 16 lanes 1.4 times as many, see docs/performance.md. A profile of other sources, or of another compiler, costs
# nothing but that. PROFILE_FLAGS is set otherwise by `make profile`, which counts.
PROFILE_FLAGS ?= -Xfrontend -ir-profile-use=$(CURDIR)/packaging/litebased.profdata -Xllvm -no-pgo-warn-mismatch
SWIFT_FLAGS = $(PROFILE_FLAGS) -Xfrontend -function-sections -Xcc -ffunction-sections -use-ld=lld -L$(STATIC) -Xclang-linker -static-libgcc
# - Relocations take 3 KB instead of 450 KB (glibc 2.36; an older one says so when the program starts).
# - The executable exports nothing but what Package.swift says: no other file looks for its symbols.
# - What the loader has written is read-only before the first statement runs (full RELRO), so that no pointer to a function of a
#   library can be exchanged; nothing is looked for beside the program (no RUNPATH).
# - Equal functions whose address nobody compares are one.
# - Each function is in a section of its own, so that those of short requests, and then those of the start, lie side by side
#   (scripts/make-function-order.py made the list), and what nobody calls is left out.
# - Strings that are the end of another one take no room (-O2).
LINK_FLAGS = -z relro -z now -O2 -z pack-relative-relocs --no-export-dynamic --icf=safe \
	--symbol-ordering-file=$(CURDIR)/packaging/functions.order --no-warn-symbol-ordering
RELEASE = -c release --static-swift-stdlib --disable-local-rpath $(addprefix -Xswiftc ,$(SWIFT_FLAGS)) $(addprefix -Xlinker ,$(LINK_FLAGS))

# clang belongs to the Swift toolchain.
$(STATIC):
	mkdir -p $@
	ln -sf "$$(clang -print-file-name=libstdc++.a)" $@/libstdc++.a
