//! A value that must not leak: not printed, not serialized, wiped when dropped.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value that must not leak. It has neither `Debug` nor `Serialize`, so that it cannot slip into
/// a log or a record; whoever needs the value says so with [`Secret::expose`].
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value in charge.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Compares in a time that depends on the lengths only.
impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    struct Witness(Rc<RefCell<Vec<u8>>>);

    impl Zeroize for Witness {
        fn zeroize(&mut self) {
            self.0.borrow_mut().iter_mut().for_each(|byte| *byte = 0);
        }
    }

    #[test]
    fn the_value_is_wiped_on_drop() {
        let memory = Rc::new(RefCell::new(vec![7; 4]));
        drop(Secret::new(Witness(memory.clone())));
        assert_eq!(*memory.borrow(), [0; 4]);
    }

    #[test]
    fn equality_looks_at_every_byte() {
        let secret = Secret::new(vec![1, 2, 3]);
        assert!(secret == Secret::new(vec![1, 2, 3]));
        assert!(secret != Secret::new(vec![1, 2, 4]));
        assert!(secret != Secret::new(vec![1, 2]));
    }
}
