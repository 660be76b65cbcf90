//! Counting the lines of a text.

/// Counts the lines of a text, front to back.
pub(super) struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The line of `place`.
    pub(super) fn of(&mut self, place: usize) -> usize {
        let bytes = self.text.as_bytes();
        while self.at < place.min(bytes.len()) {
            let breaks = match bytes[self.at] {
                b'\n' => true,
                // The break of old Macs; in CRLF the second half counts.
                b'\r' => bytes.get(self.at + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += usize::from(breaks);
            self.at += 1;
        }
        self.line
    }
}

/// The line of a place of a text.
pub(super) fn line_of(text: &str, place: usize) -> usize {
    Lines::new(text).of(place)
}
