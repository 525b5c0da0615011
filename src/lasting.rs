//! States that last: said when they begin and when they are over, and not all the time between.

/// Something that goes on, or not.
#[derive(Debug, Default)]
pub struct Lasting(bool);

impl Lasting {
    /// It is so. True if it was not before.
    #[must_use]
    pub fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }

    /// It is not so. True if it was before.
    pub fn ends(&mut self) -> bool {
        std::mem::take(&mut self.0)
    }
}
