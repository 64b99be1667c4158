//! RunCurves as SVG pictures.

use super::visible::visible;
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::{
        Color as _,
        text_anchor::{HPos, Pos, VPos},
    },
};
use std::ops::Range;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(34, 40, 49);
const FAINT: RGBColor = RGBColor(108, 117, 125);
const GRID: RGBColor = RGBColor(230, 233, 237);
/// Training curves.
pub const TRAIN: Color = RGBColor(120, 144, 176);
/// Validation curves.
pub const VALIDATION: Color = RGBColor(214, 82, 44);
/// RunCurves of several runs, told apart with most kinds of colour vision (Okabe and Ito's palette without its yellow).
const RUNS: [Color; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

/// LinesWriter that a key within the picture has room for; that of more stands beside it, so wide.
const KEY_WITHIN: usize = 2;
const KEY_WIDTH: u32 = 230;
/// Pixels from one line of small letters to the next.
pub const LINE: i32 = 18;
/// Letters of a name in a key.
const NAME: usize = 28;
/// Points of a curve in a picture, at most.
pub const POINTS: usize = 300;

/// A colour.
pub type Color = RGBColor;
/// Points of a curve, x ascending.
pub type Points = Vec<(f64, f64)>;

/// One curve.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its colour.
    pub color: Color,
    /// Its points; those that are not finite are left out.
    pub points: Points,
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// In large letters.
    pub title: String,
    /// In small ones below.
    pub subtitle: String,
    /// What lies to the right.
    pub x: &'a str,
    /// What lies upwards.
    pub y: &'a str,
    /// Writes a value of y, at the ends of the curves and the marks of the axis.
    pub value: fn(f64) -> String,
    /// The curves.
    pub lines: Vec<Line>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Context<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The colour of one of `count` runs: of the palette, or where that is too small, of hues around the circle.
pub fn run_color(number: usize, count: usize) -> Color {
    if count <= RUNS.len() {
        return RUNS[number];
    }
    let lightness = if number.is_multiple_of(2) { 0.35 } else { 0.6 };
    let (red, green, blue) = HSLColor(number as f64 / count as f64, 0.75, lightness).to_backend_color().rgb;
    RGBColor(red, green, blue)
}

/// The picture as SVG text; `None` where there is nothing to draw.
pub fn draw(chart: &Chart) -> Option<String> {
    let mut chart = chart.clone();
    for line in &mut chart.lines {
        line.points.retain(|(x, y)| x.is_finite() && y.is_finite());
    }
    chart.lines.retain(|line| !line.points.is_empty());
    if chart.lines.is_empty() {
        return None;
    }
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, chart.size).into_drawing_area();
    let drawn = draw_on(&area, &chart);
    drop(area);
    // A control character in a name would make the file no XML.
    drawn.ok().map(|()| visible(&svg))
}

/// At most `most` points: the means of those that lie close together, x ascending from 0 or above.
pub fn thinned(points: &[(f64, f64)], most: usize) -> Points {
    let end = points.last().map_or(0.0, |(x, _)| *x);
    if points.len() <= most || end <= 0.0 {
        return points.to_vec();
    }
    let place = |x: f64| ((x / end * most as f64).ceil() as usize).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunk_by(|a, b| place(a.0) == place(b.0)).map(mean).collect()
}

fn draw_on(area: &Area, chart: &Chart) -> Drawn {
    area.fill(&WHITE)?;
    area.draw(&Text::new(chart.title.clone(), (24, 18), font(21, INK)))?;
    area.draw(&Text::new(chart.subtitle.clone(), (24, 46), font(14, FAINT)))?;
    let lines: Vec<&[_]> = chart.lines.iter().map(|line| &line.points[..]).collect();
    let (x, y) = (x_range(&lines), y_range(&lines));
    let beside = chart.lines.len() > KEY_WITHIN;
    let mut context = ChartBuilder::on(area)
        .margin_top(if chart.subtitle.is_empty() { 52 } else { 78 })
        .margin_right(if beside { 96 + KEY_WIDTH } else { 96 })
        .margin_left(14)
        .margin_bottom(12)
        .x_label_area_size(48)
        .y_label_area_size(58)
        .build_cartesian_2d(x, y.clone())?;
    draw_grid(&mut context, chart)?;
    for line in &chart.lines {
        draw_line(&mut context, line, y.end)?;
    }
    draw_ends(&context, area, chart)?;
    match chart.lines.len() {
        1 => Ok(()),
        _ if beside => draw_key(area, chart),
        _ => draw_legend(&mut context),
    }
}

/// The names of many curves, beside the picture.
fn draw_key(area: &Area, chart: &Chart) -> Drawn {
    let left = (chart.size.0 - KEY_WIDTH) as i32;
    for (line, y) in chart.lines.iter().zip((84..).step_by(LINE as usize)) {
        area.draw(&PathElement::new([(left, y), (left + 18, y)], line.color.stroke_width(3)))?;
        let style = font(14, INK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(shortened(&line.name), (left + 26, y), style))?;
    }
    Ok(())
}

/// The end of a long name: that is where the names of runs differ.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    match count <= NAME {
        true => name.to_owned(),
        false => ['\u{2026}'].into_iter().chain(name.chars().skip(count + 1 - NAME)).collect(),
    }
}

fn font(size: i32, color: Color) -> TextStyle<'static> {
    (FONT, size).into_font().color(&color)
}

/// From zero to the last point of finite curves, none of them empty.
pub fn x_range(lines: &[&[(f64, f64)]]) -> Range<f64> {
    let ends = lines.iter().filter_map(|line| line.last());
    0.0..ends.map(|(x, _)| *x).fold(1e-9, f64::max)
}

/// All values of such curves, unless the first ones are so large that they would flatten the rest.
pub fn y_range(lines: &[&[(f64, f64)]]) -> Range<f64> {
    let all = || lines.iter().copied().flatten().map(|(_, y)| *y);
    let low = all().fold(f64::INFINITY, f64::min);
    let high = all().fold(f64::NEG_INFINITY, f64::max);
    let settled = lines.iter().map(|line| settled(line)).fold(low, f64::max);
    let high = if settled > low { high.min(low + 1.6 * (settled - low)) } else { high };
    let room = (0.08 * (high - low)).max(0.02 * low.abs()).max(1e-3);
    (low - room)..(high + room)
}

/// The largest value once most of the first fall is over: behind the first tenth of a curve, but for its first point at
/// least.
fn settled(points: &[(f64, f64)]) -> f64 {
    let first = points.len().div_ceil(10).min(points.len() - 1);
    points[first..].iter().map(|(_, y)| *y).fold(f64::NEG_INFINITY, f64::max)
}

fn draw_grid(context: &mut Context, chart: &Chart) -> Drawn {
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(7)
        .y_labels(7)
        .x_desc(chart.x)
        .y_desc(chart.y)
        .axis_desc_style(font(14, FAINT))
        .label_style(font(13, FAINT))
        .x_label_formatter(&|x| tick(*x))
        .y_label_formatter(&|y| (chart.value)(*y))
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

fn draw_line(context: &mut Context, line: &Line, top: f64) -> Drawn {
    let color = line.color;
    // A point above the picture is cut at its edge rather than drawn over the title.
    let width = if line.points.len() > 40 { 1 } else { 2 };
    let series = LineSeries::new(cut(&line.points, top), color.stroke_width(width));
    context
        .draw_series(series)?
        .label(shortened(&line.name))
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(3)));
    if line.points.len() <= 40 {
        let inside = line.points.iter().filter(|(_, y)| *y <= top);
        context.draw_series(inside.map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    Ok(())
}

/// The part of a curve below `top`, starting where it crosses it.
pub fn cut(line: &[(f64, f64)], top: f64) -> Points {
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
fn draw_ends(context: &Context, area: &Area, chart: &Chart) -> Drawn {
    let ends = chart.lines.iter().filter_map(|line| Some((line.points.last()?, line.color)));
    let mut places: Vec<_> = ends.map(|(end, color)| (context.backend_coord(end), end.1, color)).collect();
    places.sort_by_key(|((_, y), ..)| *y);
    let mut lowest = i32::MIN / 2;
    for (index, ((x, y), value, color)) in places.iter().enumerate() {
        // Half of what the next one must give way, so that both stay near their curves.
        let gap = places.get(index + 1).map_or(0, |next| LINE - (next.0.1 - y)).max(0);
        let room_below = (places.len() - index) as i32 * LINE;
        let y = (y - gap / 2).max(lowest + LINE).min(chart.size.1 as i32 - room_below);
        lowest = y;
        let style = font(15, *color).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new((chart.value)(*value), (x + 12, y), style))?;
    }
    Ok(())
}

fn draw_legend<'a, 'b: 'a>(context: &mut Context<'a, 'b>) -> Drawn {
    context
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .label_font(font(14, INK))
        .margin(10)
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, color: Color, points: Points) -> Line {
        Line { name: name.to_owned(), color, points }
    }

    fn picture(lines: Vec<Line>) -> Option<String> {
        draw(&Chart {
            size: (860, 500),
            title: "Loss of runs/<7> & more".to_owned(),
            subtitle: "below".to_owned(),
            x: "characters",
            y: "nats per symbol",
            value: |y| format!("{y:.3}"),
            lines,
        })
    }

    fn falling(above: f64) -> Points {
        (0..10)
            .map(|step| (1e5 * f64::from(step + 1), above + 1.75 * (-0.45 * f64::from(step)).exp()))
            .collect()
    }

    #[test]
    fn curves_their_names_and_their_ends_are_shown() {
        let lines = vec![line("training", TRAIN, falling(1.6)), line("validation", VALIDATION, falling(1.7))];
        let svg = picture(lines).expect("a picture");
        let texts = [
            "Loss of runs/&lt;7&gt; &amp; more",
            "validation",
            "nats per symbol",
            "1M",
            "characters",
            "1.730",
        ];
        texts.iter().for_each(|text| assert!(svg.contains(text), "{text} in {svg}"));
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
    fn many_curves_have_colours_of_their_own_and_a_key_beside_them() {
        let lines: Vec<_> = (0..20)
            .map(|n| line(&format!("runs/a-name-as-long-as-they-come/{n}"), run_color(n, 20), falling(1.6)))
            .collect();
        let colors: std::collections::BTreeSet<_> =
            lines.iter().map(|line| format!("{:?}", line.color)).collect();
        assert_eq!(colors.len(), lines.len());
        let svg = picture(lines).expect("a picture");
        assert!(svg.contains("\u{2026}ame-as-long-as-they-come/19") && !svg.contains("/a-name"), "{svg}");
        // The position of each text: y="...".
        let heights = svg
            .lines()
            .filter_map(|line| line.split_once("<text ")?.1.split_once(" y=\"")?.1.split('"').next());
        assert!(heights.filter_map(|y| y.parse::<i32>().ok()).all(|y| y < 500), "within the picture: {svg}");
    }

    #[test]
    fn few_and_odd_points_still_make_a_picture() {
        let of = |points: Points| picture(vec![line("training", TRAIN, points)]);
        assert_eq!(picture(vec![]), None);
        assert_eq!(of(vec![]), None);
        assert_eq!(of(vec![(1.0, f64::NAN)]), None);
        assert!(of(vec![(1.0, 2.0)]).is_some());
        assert!(of(vec![(0.0, 0.0)]).is_some());
        assert!(
            !of(vec![(1.0, 2.0), (2.0, 2.0)]).expect("a picture").contains("training"),
            "no legend for one"
        );
    }

    #[test]
    fn a_huge_first_loss_does_not_flatten_the_rest() {
        let points: Points = vec![(1.0, 90.0), (2.0, 3.0), (3.0, 2.0)];
        let range = y_range(&[&points]);
        assert!(range.end < 4.0 && range.start < 2.0, "{range:?}");
        let shown = cut(&points, range.end);
        assert!(shown.iter().all(|(_, y)| *y <= range.end) && shown.len() == 3, "{shown:?}");
    }

    #[test]
    fn many_points_become_means_of_neighbours() {
        let points: Points = (1..=9).map(|n| (f64::from(n), f64::from(2 * n))).collect();
        assert_eq!(thinned(&points, 9), points);
        assert_eq!(thinned(&points, 3), [(2.0, 4.0), (5.0, 10.0), (8.0, 16.0)]);
        let dense = [(1.0, 1.0), (2.0, 3.0), (100.0, 7.0)];
        assert_eq!(thinned(&dense, 2), [(1.5, 2.0), (100.0, 7.0)]);
        assert_eq!(thinned(&[], 3), []);
    }

    #[test]
    fn ticks_are_round() {
        for (x, text) in [(0.0, "0"), (250e3, "250k"), (1.5e6, "1.5M"), (2e9, "2G"), (40.0, "40")] {
            assert_eq!(tick(x), text);
        }
    }
}
