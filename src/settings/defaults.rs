//! Settings that are not written to files because they have their default value.

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(super) fn is_one(value: &f32) -> bool {
    *value == 1.0
}

pub(super) fn is_zero(value: &f32) -> bool {
    *value == 0.0
}
