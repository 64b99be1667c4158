//! Hidden widths, known to the compiler or given at run time.

/// A hidden width that the compiler may know.
#[doc(hidden)]
pub trait HiddenWidth: Copy {
    /// The hidden width, if it is known.
    const HIDDEN: Option<usize>;
}

/// The hidden width H.
#[derive(Clone, Copy)]
pub(super) struct KnownWidth<const H: usize>;

/// Any hidden width.
#[derive(Clone, Copy)]
pub(super) struct AnyWidth;

impl<const H: usize> HiddenWidth for KnownWidth<H> {
    const HIDDEN: Option<usize> = Some(H);
}

impl HiddenWidth for AnyWidth {
    const HIDDEN: Option<usize> = None;
}

/// Returns whether the compiler knows that the hidden width is in `from..=to`.
pub(super) const fn within<W: HiddenWidth>(from: usize, to: usize) -> bool {
    match W::HIDDEN {
        Some(hidden) => from <= hidden && hidden <= to,
        None => false,
    }
}
