//! Advice at the end of messages.

use super::quantities::Number;
use std::io;

/// Returns the advice for an error of the operating system, if there is one.
pub(super) fn remedy(source: &io::Error) -> &'static str {
    use io::ErrorKind::*;
    match source.kind() {
        NotFound => "; check the name, and that its folder exists",
        NotADirectory => "; a part of this path is a file: name a path through folders",
        IsADirectory => "; name a file",
        PermissionDenied => "; change its permissions, or name another",
        ReadOnlyFilesystem => "; choose a writable place",
        StorageFull | QuotaExceeded | FileTooLarge => "; make room, or choose another place",
        InvalidData => "; it must be UTF-8 text",
        _ => "",
    }
}

/// Rounds a measured number to four digits.
pub(super) fn short(value: f64) -> Number {
    Number(format!("{value:.3e}").parse().unwrap_or(value))
}

/// Returns the second part of the advice for a run that diverged.
pub(super) fn or_clip(clip: f32) -> String {
    match clip > 0.0 {
        true => format!(", or the clip, which was {clip}"),
        false => ", or set a clip".to_owned(),
    }
}
