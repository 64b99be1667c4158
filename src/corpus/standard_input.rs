//! The paths that mean standard input.

use std::path::Path;

/// Returns whether a path means standard input: `-`, `/dev/stdin` and its other names.
pub fn is_standard_input(path: &Path) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}
