//! A table over all code points that takes memory only for the pages that are written.

use std::fmt;

/// Number of code points in a page.
const PAGE: usize = 256;
/// Number of pages for all code points up to U+10FFFF.
const PAGES: usize = 0x11_0000 / PAGE;

/// One value per code point (or byte), in pages of 256. All unwritten pages share one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pages<T> {
    /// [PAGES]: index of each page in `pages`; 0 is the shared blank page.
    place: Box<[u16]>,
    pages: Vec<[T; PAGE]>,
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} pages", self.pages.len())
    }
}

impl<T: Copy + PartialEq> Pages<T> {
    /// Creates a table with the value `blank` everywhere.
    pub fn new(blank: T) -> Self {
        Self { place: vec![0; PAGES].into(), pages: vec![[blank; PAGE]] }
    }

    /// The value of a symbol, which must be below 0x110000.
    #[inline]
    pub fn get(&self, symbol: u32) -> T {
        self.pages[usize::from(self.place[symbol as usize / PAGE])][symbol as usize % PAGE]
    }

    /// Sets the value of a symbol, which must be below 0x110000.
    #[inline]
    pub fn set(&mut self, symbol: u32, value: T) {
        self.page_mut(symbol as usize / PAGE)[symbol as usize % PAGE] = value;
    }

    /// The values of 0..256: of every byte.
    pub fn bytes_mut(&mut self) -> &mut [T; PAGE] {
        self.page_mut(0)
    }

    /// The symbols whose value is not blank, in order.
    pub fn symbols(&self) -> impl Iterator<Item = u32> + '_ {
        let blank = self.pages[0][0];
        let written = (0..PAGES as u32).filter(|&page| self.place[page as usize] != 0);
        written
            .flat_map(|page| page * PAGE as u32..(page + 1) * PAGE as u32)
            .filter(move |&symbol| self.get(symbol) != blank)
    }

    #[inline]
    fn page_mut(&mut self, page: usize) -> &mut [T; PAGE] {
        if self.place[page] == 0 {
            self.add(page);
        }
        &mut self.pages[usize::from(self.place[page])]
    }

    #[cold]
    fn add(&mut self, page: usize) {
        self.place[page] = self.pages.len() as u16;
        self.pages.push(self.pages[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_stored_and_listed_in_order() {
        let mut table = Pages::new(7);
        for (symbol, value) in [(0x10_FFFF, 1), (0, 2), (255, 3), (256, 4), (0xFFFF, 5)] {
            table.set(symbol, value);
        }
        assert_eq!(table.symbols().collect::<Vec<_>>(), [0, 255, 256, 0xFFFF, 0x10_FFFF]);
        assert_eq!((table.get(0x10_FFFF), table.get(0), table.get(255), table.get(256)), (1, 2, 3, 4));
        assert_eq!((table.get(1), table.get(0x10_FFFE), table.get(0x5000)), (7, 7, 7));
        assert_eq!(table.bytes_mut()[254..], [7, 3]);
    }
}
