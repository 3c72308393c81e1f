//! Text at places of the screen.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Block, Clear, Widget as _};

use crate::text::{fit, width};
use crate::tone::{Paint, Tone};

pub(super) struct Canvas<'c, 'f> {
    frame: &'c mut Frame<'f>,
    paint: Paint,
    pub(super) width: u16,
    pub(super) height: u16,
}

impl<'c, 'f> Canvas<'c, 'f> {
    pub(super) fn new(frame: &'c mut Frame<'f>, paint: Paint) -> Canvas<'c, 'f> {
        let area = frame.area();
        Canvas { frame, paint, width: area.width, height: area.height }
    }

    fn buffer(&mut self) -> &mut Buffer {
        self.frame.buffer_mut()
    }

    fn write(&mut self, column: usize, row: u16, room: usize, style: Style, text: &str) -> usize {
        let Ok(at) = u16::try_from(column) else { return 0 };
        if at >= self.width || row >= self.height || room == 0 {
            return 0;
        }
        let room = room.min(usize::from(self.width - at));
        let text = fit(text, room);
        self.buffer().set_stringn(at, row, &*text, room, style);
        width(&text)
    }

    /// Up to the end of the line. Returns how many columns it took.
    pub(super) fn put(&mut self, column: usize, row: u16, tone: Tone, text: &str) -> usize {
        self.put_within(column, row, usize::MAX, tone, text)
    }

    pub(super) fn put_within(&mut self, column: usize, row: u16, room: usize, tone: Tone, text: &str) -> usize {
        let style = self.paint.style(tone);
        self.write(column, row, room, style, text)
    }

    /// As a heading of columns.
    pub(super) fn put_heading(&mut self, column: usize, row: u16, room: usize, text: &str) {
        let style = self.paint.style(Tone::Strong).add_modifier(Modifier::UNDERLINED);
        self.write(column, row, room, style, text);
    }

    /// The chosen line.
    pub(super) fn choose(&mut self, row: u16) {
        let area = Rect::new(0, row, self.width, 1);
        self.buffer().set_style(area, Style::new().add_modifier(Modifier::REVERSED));
    }

    /// A box in the middle, with nothing beneath. Returns its inner place.
    pub(super) fn frame_box(&mut self, columns: u16, rows: u16) -> (u16, u16) {
        let (columns, rows) = (columns.min(self.width), rows.min(self.height));
        let area = Rect::new((self.width - columns) / 2, (self.height - rows) / 2, columns, rows);
        Clear.render(area, self.buffer());
        Block::bordered().render(area, self.buffer());
        (area.x + 2, area.y + 1)
    }

    /// Where typing goes on.
    pub(super) fn cursor(&mut self, column: usize, row: u16) {
        let column = u16::try_from(column).unwrap_or(u16::MAX).min(self.width.saturating_sub(1));
        self.frame.set_cursor_position((column, row));
    }
}
