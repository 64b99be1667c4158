//! Curves in a terminal.

use super::{
    chart_points::{Limits, Points, cut, finite, x_range, y_range},
    number_format::short,
};
use ratatui::{
    Frame, Terminal,
    backend::TestBackend,
    buffer::Cell,
    layout::{Constraint, Rect},
    style::{Color, Stylize},
    symbols::Marker,
    text::Span,
    widgets::{Axis, Block, Chart, Dataset, GraphType, LegendPosition, Padding, Paragraph},
};

/// One curve of a chart.
#[derive(Clone, Debug)]
pub struct TerminalCurve<'a> {
    /// The name in the key.
    pub name: &'a str,
    /// The color.
    pub color: Color,
    /// The symbol of a point.
    pub marker: Marker,
    /// The points, x ascending; those that are not finite are left out.
    pub points: Points,
}

/// Draws curves below a heading, with labels at the ends and the middle of both axes.
pub fn draw(frame: &mut Frame, area: Rect, title: &str, curves: &[TerminalCurve]) {
    let lines: Vec<Points> = curves.iter().map(|curve| finite(&curve.points)).collect();
    let shown: Vec<&[(f64, f64)]> = lines.iter().map(Vec::as_slice).filter(|line| !line.is_empty()).collect();
    if shown.is_empty() {
        let nothing = Paragraph::new("no points yet").dark_gray();
        return frame.render_widget(nothing.block(block(title)), area);
    }
    let (x, y) = (x_range(&shown), y_range(&shown, Limits::POSITIVE));
    let lines: Vec<Points> = lines.iter().map(|line| cut(line, y.end)).collect();
    let drawn = curves.iter().zip(&lines).filter(|(_, points)| !points.is_empty());
    let chart = Chart::new(drawn.map(|(curve, points)| dataset(curve, points)).collect())
        .block(block(title))
        .x_axis(axis([x.start, x.end], short))
        .y_axis(axis([y.start, y.end], |loss| format!("{loss:.2}")))
        .legend_position(Some(LegendPosition::TopRight))
        .hidden_legend_constraints((Constraint::Percentage(60), Constraint::Percentage(60)));
    frame.render_widget(chart, area);
}

fn dataset<'a>(curve: &TerminalCurve<'a>, points: &'a Points) -> Dataset<'a> {
    let kind = if points.len() > 1 { GraphType::Line } else { GraphType::Scatter };
    Dataset::default().name(curve.name).marker(curve.marker).graph_type(kind).style(curve.color).data(points)
}

fn axis<'a>([low, high]: [f64; 2], text: impl Fn(f64) -> String) -> Axis<'a> {
    let labels = [low, f64::midpoint(low, high), high].map(|at| Span::from(text(at)));
    Axis::default().bounds([low, high]).labels(labels).style(Color::DarkGray)
}

/// Returns a frame with a title.
pub fn block(title: &str) -> Block<'static> {
    Block::bordered()
        .border_style(Color::DarkGray)
        .title(format!(" {title} "))
        .padding(Padding::horizontal(1))
}

/// Draws into lines of text without colors.
pub fn letters(width: u16, height: u16, draw: impl FnOnce(&mut Frame)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory only");
    terminal.draw(draw).expect("memory only");
    terminal.backend().buffer().content.chunks(usize::from(width).max(1)).map(line).collect()
}

/// Returns the text of a row. A wide character also takes the cells after it, which are empty.
fn line(cells: &[Cell]) -> String {
    let (mut text, mut at) = (String::new(), 0);
    while let Some(cell) = cells.get(at) {
        text += cell.symbol();
        at += Span::from(cell.symbol()).width().max(1);
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(curves: &[TerminalCurve]) -> String {
        letters(60, 12, |frame| draw(frame, frame.area(), "loss", curves))
    }

    #[test]
    fn each_curve_has_a_name_and_a_letter() {
        let curve = |name, letter, points| TerminalCurve {
            name,
            color: Color::Reset,
            marker: Marker::Custom(letter),
            points,
        };
        let falling = vec![(0.0, 3.0), (500.0, 2.0), (1000.0, 1.5)];
        let one = curve("one", 'x', falling.clone());
        let other = curve("other", 'o', vec![(0.0, 3.1), (1000.0, f64::NAN), (1000.0, 1.9)]);
        let shown = picture(&[one, other]);
        for part in ["┌ loss ", "one", "other", "xx", "oo", "1.00k"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert_eq!(shown.lines().count(), 12);
        assert!(picture(&[]).contains("no points yet"));
        assert!(picture(&[curve("one", 'x', vec![(5.0, 2.0)])]).contains('x'), "a single point");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let text = "a\u{4e2d}\u{6587}b";
        assert_eq!(letters(10, 1, |frame| frame.render_widget(text, frame.area())), format!("{text}\n"));
    }
}
