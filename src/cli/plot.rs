//! `loss.svg`: training and validation loss over the symbols trained on.

use super::figures::{bits, short};
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use unrolled::train::Record;

const SIZE: (u32, u32) = (860, 500);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(34, 40, 49);
const FAINT: RGBColor = RGBColor(108, 117, 125);
const GRID: RGBColor = RGBColor(230, 233, 237);
const TRAIN: RGBColor = RGBColor(120, 144, 176);
const VALIDATION: RGBColor = RGBColor(214, 82, 44);

/// What to draw.
pub struct Curves<'a> {
    /// The run's name, for the title.
    pub name: &'a str,
    /// What a symbol is called in the plural: "characters" or "bytes".
    pub unit: &'a str,
    /// The evaluations.
    pub history: &'a [Record],
}

type Points = Vec<(f64, f64)>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The picture as SVG text; `None` before the first evaluation.
pub fn draw(curves: &Curves) -> Option<String> {
    let train = points(curves.history, |record| Some(record.train_loss));
    let validation = points(curves.history, |record| record.val_loss);
    if train.is_empty() && validation.is_empty() {
        return None;
    }
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = draw_on(&area, curves, [&train, &validation]);
    drop(area);
    drawn.ok().map(|()| svg)
}

fn points(history: &[Record], loss: impl Fn(&Record) -> Option<f64>) -> Points {
    let all = history.iter().filter_map(|record| Some((record.chars as f64, loss(record)?)));
    all.filter(|(_, loss)| loss.is_finite()).collect()
}

fn draw_on(area: &Area, curves: &Curves, lines: [&Points; 2]) -> Drawn {
    area.fill(&WHITE)?;
    area.draw(&title(curves))?;
    area.draw(&subtitle(curves))?;
    let (x, y) = (x_range(lines), y_range(lines));
    let mut chart = ChartBuilder::on(area)
        .margin_top(78)
        .margin_right(96)
        .margin_left(14)
        .margin_bottom(12)
        .x_label_area_size(48)
        .y_label_area_size(58)
        .build_cartesian_2d(x, y.clone())?;
    draw_grid(&mut chart, curves.unit)?;
    draw_line(&mut chart, lines[0], TRAIN, y.end)?;
    draw_line(&mut chart, lines[1], VALIDATION, y.end)?;
    draw_ends(&chart, area, lines)?;
    draw_legend(area, lines)
}

fn font(size: i32, color: RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(&color)
}

fn title(curves: &Curves) -> Text<'static, (i32, i32), String> {
    Text::new(format!("Loss of {}", curves.name), (24, 18), font(21, INK))
}

fn subtitle(curves: &Curves) -> Text<'static, (i32, i32), String> {
    let last = curves.history.last();
    let chars = last.map_or(0, |record| record.chars);
    let mut text = format!("after {} {}", short(chars as f64), curves.unit);
    if let Some(record) = last {
        text += &format!(": training {:.3}", record.train_loss);
    }
    if let Some(loss) = last.and_then(|record| record.val_loss) {
        text += &format!(", validation {loss:.3} nats ({:.3} bits)", bits(loss));
    }
    Text::new(text, (24, 46), font(14, FAINT))
}

fn x_range(lines: [&Points; 2]) -> std::ops::Range<f64> {
    let ends = lines.iter().filter_map(|line| line.last());
    0.0..ends.map(|(x, _)| *x).fold(1.0, f64::max)
}

/// All losses, unless the first ones are so large that they would flatten the rest.
fn y_range(lines: [&Points; 2]) -> std::ops::Range<f64> {
    let all = || lines.into_iter().flatten().map(|(_, y)| *y);
    let low = all().fold(f64::INFINITY, f64::min);
    let high = all().fold(f64::NEG_INFINITY, f64::max);
    // The second point of each curve is where most of the fall is over.
    let settled = lines.iter().flat_map(|line| line.iter().skip(1)).map(|(_, y)| *y).fold(low, f64::max);
    let high = if settled > low { high.min(low + 1.6 * (settled - low)) } else { high };
    let room = (0.08 * (high - low)).max(0.02 * low.abs()).max(1e-3);
    (low - room)..(high + room)
}

fn draw_grid(chart: &mut Chart, unit: &str) -> Drawn {
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(7)
        .y_labels(7)
        .x_desc(unit)
        .y_desc("nats per symbol")
        .axis_desc_style(font(14, FAINT))
        .label_style(font(13, FAINT))
        .x_label_formatter(&|x| tick(*x))
        .y_label_formatter(&|y| format!("{y:.2}"))
        .draw()?;
    Ok(())
}

/// `0`, `250k`, `1.5M`: no digits that a tick does not need.
fn tick(x: f64) -> String {
    let (value, suffix) = match x {
        x if x >= 1e9 => (x / 1e9, "G"),
        x if x >= 1e6 => (x / 1e6, "M"),
        x if x >= 1e3 => (x / 1e3, "k"),
        _ => (x, ""),
    };
    let text = format!("{value:.2}");
    format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn draw_line(chart: &mut Chart, line: &Points, color: RGBColor, top: f64) -> Drawn {
    // A point above the picture is cut at its edge rather than drawn over the title.
    let shown: Points = cut(line, top);
    chart.draw_series(LineSeries::new(shown.iter().copied(), color.stroke_width(2)))?;
    if line.len() <= 40 {
        let inside = line.iter().filter(|(_, y)| *y <= top);
        chart.draw_series(inside.map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    Ok(())
}

/// The part of a curve below `top`, starting where it crosses it.
fn cut(line: &Points, top: f64) -> Points {
    let mut shown = Points::new();
    for (index, &(x, y)) in line.iter().enumerate() {
        if y <= top {
            if let Some(&(x0, y0)) = index.checked_sub(1).and_then(|before| line.get(before))
                && y0 > top
            {
                shown.push((x0 + (x - x0) * (y0 - top) / (y0 - y), top));
            }
            shown.push((x, y));
        } else if let Some(&(x0, y0)) = shown.last()
            && y0 < top
        {
            shown.push((x0 + (x - x0) * (top - y0) / (y - y0), top));
        }
    }
    shown
}

/// The last value of each curve, at its end and kept apart.
fn draw_ends(chart: &Chart, area: &Area, lines: [&Points; 2]) -> Drawn {
    let mut places: Vec<((i32, i32), f64, RGBColor)> = Vec::new();
    for (line, color) in lines.into_iter().zip([TRAIN, VALIDATION]) {
        if let Some(&end) = line.last() {
            places.push((chart.backend_coord(&end), end.1, color));
        }
    }
    places.sort_by_key(|((_, y), _, _)| *y);
    let mut lowest = i32::MIN / 2;
    let gap = places.get(1).map_or(0, |second| 18 - (second.0.1 - places[0].0.1)).max(0);
    for (index, ((x, y), loss, color)) in places.into_iter().enumerate() {
        let y = if index == 0 { y - gap / 2 } else { y.max(lowest + 18) };
        lowest = y;
        let style = font(15, color).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(format!("{loss:.3}"), (x + 12, y), style))?;
    }
    Ok(())
}

fn draw_legend(area: &Area, lines: [&Points; 2]) -> Drawn {
    let right = SIZE.0 as i32 - 96;
    let entries =
        [("training", TRAIN, lines[0], right - 190), ("validation", VALIDATION, lines[1], right - 88)];
    for (name, color, line, x) in entries {
        if !line.is_empty() {
            area.draw(&PathElement::new([(x, 30), (x + 22, 30)], color.stroke_width(3)))?;
            let style = font(14, INK).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(name, (x + 29, 30), style))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[(f64, Option<f64>)]) -> Vec<Record> {
        let record = |(index, &(train_loss, val_loss)): (usize, &(f64, Option<f64>))| Record {
            step: 50 * (index as u64 + 1),
            chars: 102_400 * (index as u64 + 1),
            seconds: 1.0,
            train_loss,
            val_loss,
            val_accuracy: None,
            learning_rate: 1e-3,
            chars_per_second: 1e5,
        };
        losses.iter().enumerate().map(record).collect()
    }

    fn picture(losses: &[(f64, Option<f64>)]) -> Option<String> {
        draw(&Curves { name: "runs/<7> & more", unit: "characters", history: &history(losses) })
    }

    fn usual() -> Vec<(f64, Option<f64>)> {
        let fall = |step: i32| 1.62 + 1.75 * (-0.45 * f64::from(step)).exp();
        (0..10).map(|step| (fall(step), Some(fall(step) - 0.16 + 0.03 * f64::from(step)))).collect()
    }

    #[test]
    fn a_usual_run_shows_both_curves_and_their_ends() {
        let svg = picture(&usual()).expect("a picture");
        for text in ["Loss of runs/&lt;7&gt; &amp; more", "validation", "nats per symbol", "1M", "characters"]
        {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        for color in ["#7890B0", "#D6522C"] {
            let curve = |line: &&str| line.contains("<polyline") && line.contains(color);
            assert_eq!(svg.lines().filter(curve).count(), 2, "the curve and its mark in the legend: {svg}");
        }
        assert!(svg.trim_end().ends_with("</svg>") && svg.contains("sans-serif"));
        if let Some(path) = std::env::var_os("UNROLLED_PLOT_TO") {
            std::fs::write(path, svg).expect("written");
        }
    }

    #[test]
    fn few_and_odd_points_still_make_a_picture() {
        assert_eq!(picture(&[]), None);
        assert_eq!(picture(&[(f64::NAN, None)]), None);
        assert!(picture(&[(2.0, Some(2.0))]).is_some());
        assert!(picture(&[(2.0, None), (2.0, None)]).is_some());
        assert!(!picture(&[(2.0, None), (1.9, None)]).expect("a picture").contains("validation"));
    }

    #[test]
    fn a_huge_first_loss_does_not_flatten_the_rest() {
        let line: Points = vec![(1.0, 90.0), (2.0, 3.0), (3.0, 2.0)];
        let range = y_range([&line, &Points::new()]);
        assert!(range.end < 4.0 && range.start < 2.0, "{range:?}");
        let shown = cut(&line, range.end);
        assert!(shown.iter().all(|(_, y)| *y <= range.end) && shown.len() == 3, "{shown:?}");
    }

    #[test]
    fn ticks_are_round() {
        for (x, text) in [(0.0, "0"), (250e3, "250k"), (1.5e6, "1.5M"), (2e9, "2G"), (40.0, "40")] {
            assert_eq!(tick(x), text);
        }
    }
}
