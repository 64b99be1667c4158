//! The ends of messages that depend on what was found.

use crate::settings::decimal::Number;
use std::io;

/// What to do about what the system said, where that is known.
pub(super) fn remedy(source: &io::Error) -> &'static str {
    use io::ErrorKind::*;
    match source.kind() {
        NotFound => "; check the name, and that its folder is there",
        NotADirectory => "; a part of this path is a file: name a path through folders",
        IsADirectory => "; name a file",
        PermissionDenied => "; change its permissions, or name another",
        ReadOnlyFilesystem => "; choose a place that can be written",
        StorageFull | QuotaExceeded | FileTooLarge => "; make room, or choose another place",
        InvalidData => "; it must be UTF-8 text",
        _ => "",
    }
}

/// A measured number in four digits.
pub(super) fn short(value: f64) -> Number {
    Number(format!("{value:.3e}").parse().unwrap_or(value))
}

/// Advice for a run that diverged.
pub(super) fn or_clip(clip: f32) -> String {
    match clip > 0.0 {
        true => format!(", or the clip, which was {clip}"),
        false => ", or set a clip".to_owned(),
    }
}
