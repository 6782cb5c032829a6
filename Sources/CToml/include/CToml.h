// TOML files through toml++ (Debian: libtomlplusplus-dev), flattened for Swift.
#pragma once
