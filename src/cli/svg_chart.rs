//! Curves as SVG charts.

use super::{
    chart_axis::XAxis,
    chart_colors::Color,
    chart_points::{Limits, Points, cut, finite, y_range},
    number_format::loss,
    visible::visible,
};
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
/// Largest number of curves whose key is inside the chart, if there is no dashed line. Other keys
/// are beside the chart and this wide.
const CURVES_WITH_KEY_INSIDE: usize = 2;
const KEY_WIDTH: u32 = 230;
/// Height of a line of small text in pixels.
pub const LINE_HEIGHT: i32 = 18;
/// Largest number of characters of a name in a key.
const NAME: usize = 28;
/// Width of the sample of a line in a key.
const SAMPLE: i32 = 18;
/// Lengths of the dashes of a dashed line and of the gaps between them, in pixels.
const DASH: i32 = 4;
const GAP: i32 = 3;
/// Largest number of points of a curve.
pub const POINTS: usize = 300;

/// One curve of a chart.
#[derive(Clone, Debug)]
pub struct ChartLine {
    /// The name in the key.
    pub name: String,
    /// The color.
    pub color: Color,
    /// The points; those that are not finite are left out.
    pub points: Points,
}

/// The contents of a chart.
#[derive(Clone, Debug)]
pub struct SvgChart<'a> {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Heading in large letters.
    pub title: String,
    /// Line in small letters below.
    pub subtitle: String,
    /// Name of the horizontal axis.
    pub x: &'a str,
    /// Kind of the horizontal axis.
    pub x_axis: XAxis,
    /// Largest number of ticks of the horizontal and of the vertical axis.
    pub ticks: [usize; 2],
    /// A vertical line at this x.
    pub mark: Option<f64>,
    /// Name of the vertical axis.
    pub y: &'a str,
    /// Values that y can have.
    pub limits: Limits,
    /// The smallest y that is shown; chosen from the curves when absent.
    pub bottom: Option<f64>,
    /// The largest y that is shown; chosen from the curves when absent.
    pub top: Option<f64>,
    /// Formats a y at the ends of the curves and at the ticks of the axis.
    pub value: fn(f64) -> String,
    /// The curves.
    pub lines: Vec<ChartLine>,
    /// A dashed line to compare the curves with, without a value at its end.
    pub dashed: Option<ChartLine>,
}

impl SvgChart<'_> {
    /// Returns a chart of losses over a run, still without a heading, an x and curves.
    pub fn of_losses() -> Self {
        Self {
            size: (860, 500),
            title: String::new(),
            subtitle: String::new(),
            x: "",
            x_axis: XAxis::FromZero,
            ticks: [7, 7],
            mark: None,
            y: "nats per symbol",
            limits: Limits::POSITIVE,
            bottom: None,
            top: None,
            value: loss,
            lines: Vec::new(),
            dashed: None,
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Context<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Returns the chart as SVG text; `None` if there is nothing to draw.
pub fn draw(chart: &SvgChart) -> Option<String> {
    let mut chart = chart.clone();
    for line in &mut chart.lines {
        line.points = finite(&line.points);
    }
    chart.lines.retain(|line| !line.points.is_empty());
    if chart.lines.is_empty() {
        return None;
    }
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, chart.size).into_drawing_area();
    let drawn = draw_on(&area, &chart);
    drop(area);
    // A control character in a name would make the XML invalid.
    drawn.ok().map(|()| visible(&svg))
}

fn draw_on(area: &Area, chart: &SvgChart) -> Drawn {
    area.fill(&WHITE)?;
    area.draw(&Text::new(chart.title.clone(), (24, 18), font(21, INK)))?;
    area.draw(&Text::new(chart.subtitle.clone(), (24, 46), font(14, FAINT)))?;
    let lines: Vec<&[_]> = chart.lines.iter().chain(&chart.dashed).map(|line| &line.points[..]).collect();
    let (x, y) = ranges(chart, &lines);
    let beside = chart.dashed.is_some() || chart.lines.len() > CURVES_WITH_KEY_INSIDE;
    let mut context = ChartBuilder::on(area)
        .margin_top(if chart.subtitle.is_empty() { 52 } else { 78 })
        .margin_right(if beside { 96 + KEY_WIDTH } else { 96 })
        .margin_left(14)
        .margin_bottom(12)
        .x_label_area_size(48)
        .y_label_area_size(58)
        .build_cartesian_2d(x, y.clone())?;
    draw_grid(&mut context, chart)?;
    if let Some(ChartLine { points, color, .. }) = &chart.dashed {
        let points = cut(points, y.end);
        context.draw_series(DashedLineSeries::new(points, DASH, GAP, color.stroke_width(1)))?;
    }
    for line in &chart.lines {
        draw_line(&mut context, line, y.end)?;
    }
    if let Some(x) = chart.mark {
        let line = PathElement::new([(x, y.start), (x, y.end)], FAINT.stroke_width(1));
        context.draw_series([line])?;
    }
    draw_ends(&context, area, chart, y.end)?;
    match chart.lines.len() {
        _ if beside => draw_key(area, chart),
        1 => Ok(()),
        _ => draw_legend(&mut context, chart.x_axis),
    }
}

/// Returns the ranges of the axes.
fn ranges(chart: &SvgChart, lines: &[&[(f64, f64)]]) -> (Range<f64>, Range<f64>) {
    let y = match chart.top {
        None => y_range(lines, chart.limits),
        Some(top) => {
            let cut: Vec<Points> = lines.iter().map(|line| cut(line, top)).collect();
            let shown: Vec<&[_]> = cut.iter().map(Vec::as_slice).filter(|line| !line.is_empty()).collect();
            let start = if shown.is_empty() { top - 1.0 } else { y_range(&shown, chart.limits).start };
            start.min(top - 1e-3)..top
        }
    };
    (chart.x_axis.range(lines), chart.bottom.unwrap_or(y.start)..y.end)
}

/// Draws the names of the curves beside the chart.
fn draw_key(area: &Area, chart: &SvgChart) -> Drawn {
    let left = (chart.size.0 - KEY_WIDTH) as i32;
    let solid = chart.lines.iter().map(|line| (line, SAMPLE));
    let lines = solid.chain(chart.dashed.iter().map(|line| (line, DASH)));
    for ((line, dash), y) in lines.zip((84..).step_by(LINE_HEIGHT as usize)) {
        for x in (0..SAMPLE).step_by((dash + GAP) as usize) {
            let ends = [x, (x + dash).min(SAMPLE)].map(|x| (left + x, y));
            area.draw(&PathElement::new(ends, line.color.stroke_width(3)))?;
        }
        let style = font(14, INK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(shortened(&line.name), (left + 26, y), style))?;
    }
    Ok(())
}

/// Returns the end of a long name, where the names of runs differ.
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

fn draw_grid(context: &mut Context, chart: &SvgChart) -> Drawn {
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(chart.ticks[0])
        .y_labels(chart.ticks[1])
        .x_desc(chart.x)
        .y_desc(chart.y)
        .axis_desc_style(font(14, FAINT))
        .label_style(font(13, FAINT))
        .x_label_formatter(&|x| chart.x_axis.label(*x))
        .y_label_formatter(&|y| (chart.value)(*y))
        .draw()?;
    Ok(())
}

fn draw_line(context: &mut Context, line: &ChartLine, top: f64) -> Drawn {
    let color = line.color;
    // A curve that leaves the chart is cut at its edge, so that it does not cross the title.
    let width = if line.points.len() > 40 { 1 } else { 2 };
    let series = LineSeries::new(cut(&line.points, top), color.stroke_width(width));
    context
        .draw_series(series)?
        .label(shortened(&line.name))
        .legend(move |(x, y)| PathElement::new([(x, y), (x + SAMPLE, y)], color.stroke_width(3)));
    if line.points.len() <= 40 {
        let inside = line.points.iter().filter(|(_, y)| *y <= top);
        context.draw_series(inside.map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    Ok(())
}

/// Writes the last value of each curve at its end, without overlaps. The label of a value above
/// `top` is at the edge.
fn draw_ends(context: &Context, area: &Area, chart: &SvgChart, top: f64) -> Drawn {
    let ends = chart.lines.iter().filter_map(|line| Some((line.points.last()?, line.color)));
    let place = |(x, y): (f64, f64)| context.backend_coord(&(x, y.min(top)));
    let mut places: Vec<_> = ends.map(|(end, color)| (place(*end), end.1, color)).collect();
    places.sort_by_key(|((_, y), ..)| *y);
    let mut lowest = i32::MIN / 2;
    for (index, ((x, y), value, color)) in places.iter().enumerate() {
        // Each of two close labels moves by half of the overlap, so that both stay near their
        // curves.
        let gap = places.get(index + 1).map_or(0, |next| LINE_HEIGHT - (next.0.1 - y)).max(0);
        let room_below = (places.len() - index) as i32 * LINE_HEIGHT;
        let y = (y - gap / 2).max(lowest + LINE_HEIGHT).min(chart.size.1 as i32 - room_below);
        lowest = y;
        let style = font(15, *color).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new((chart.value)(*value), (x + 12, y), style))?;
    }
    Ok(())
}

fn draw_legend<'a, 'b: 'a>(context: &mut Context<'a, 'b>, x_axis: XAxis) -> Drawn {
    // Where the curves are not: losses fall over a run, and rise at high learning rates.
    let position = match x_axis {
        XAxis::FromZero => SeriesLabelPosition::UpperRight,
        XAxis::Points(_) => SeriesLabelPosition::LowerLeft,
    };
    context
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .label_font(font(14, INK))
        .margin(10)
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::chart_colors::{TRAIN, VALIDATION, run_color},
        *,
    };

    fn line(name: &str, color: Color, points: Points) -> ChartLine {
        ChartLine { name: name.to_owned(), color, points }
    }

    fn picture(lines: Vec<ChartLine>) -> Option<String> {
        draw(&chart(lines))
    }

    fn chart(lines: Vec<ChartLine>) -> SvgChart<'static> {
        SvgChart {
            title: "Loss of runs/<7> & more".to_owned(),
            subtitle: "below".to_owned(),
            x: "characters",
            value: |y| format!("{y:.3}"),
            lines,
            ..SvgChart::of_losses()
        }
    }

    fn falling(above: f64) -> Points {
        (0..10)
            .map(|step| (1e5 * f64::from(step + 1), above + 1.75 * (-0.45 * f64::from(step)).exp()))
            .collect()
    }

    #[test]
    fn a_chart_shows_curves_names_and_last_values() {
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
            assert_eq!(svg.lines().filter(curve).count(), 2, "the curve and its sample in the key: {svg}");
        }
        assert!(svg.trim_end().ends_with("</svg>") && svg.contains("sans-serif"));
        if let Some(path) = std::env::var_os("UNROLLED_PLOT_TO") {
            std::fs::write(path, svg).expect("written");
        }
    }

    #[test]
    fn many_curves_have_different_colors_and_a_key_beside_the_chart() {
        let lines: Vec<_> = (0..20)
            .map(|n| line(&format!("runs/a-name-as-long-as-they-come/{n}"), run_color(n, 20), falling(1.6)))
            .collect();
        let colors: std::collections::BTreeSet<_> =
            lines.iter().map(|line| format!("{:?}", line.color)).collect();
        assert_eq!(colors.len(), lines.len());
        let svg = picture(lines).expect("a picture");
        assert!(svg.contains("\u{2026}ame-as-long-as-they-come/19") && !svg.contains("/a-name"), "{svg}");
        // The vertical position of each text: y="...".
        let heights = svg
            .lines()
            .filter_map(|line| line.split_once("<text ")?.1.split_once(" y=\"")?.1.split('"').next());
        assert!(heights.filter_map(|y| y.parse::<i32>().ok()).all(|y| y < 500), "within the picture: {svg}");
    }

    #[test]
    fn a_chart_needs_one_finite_point() {
        let of = |points: Points| picture(vec![line("training", TRAIN, points)]);
        assert_eq!(picture(vec![]), None);
        assert_eq!(of(vec![]), None);
        assert_eq!(of(vec![(1.0, f64::NAN)]), None);
        assert!(of(vec![(1.0, 2.0)]).is_some());
        assert!(of(vec![(0.0, 0.0)]).is_some());
        assert!(
            !of(vec![(1.0, 2.0), (2.0, 2.0)]).expect("a picture").contains("training"),
            "no key for one curve"
        );
    }

    #[test]
    fn a_diverged_curve_stays_inside_the_chart() {
        let rates = vec![(-5.0, 4.2), (-4.0, 4.1), (-3.0, 3.0), (-2.0, 2.6), (-1.0, 900.0)];
        let lines = vec![line("loss", TRAIN, rates)];
        let chart = SvgChart {
            x_axis: XAxis::Points(|x| format!("1e{x}")),
            mark: Some(-3.5),
            top: Some(4.6),
            ..chart(lines)
        };
        let svg = draw(&chart).expect("a picture");
        assert!(svg.contains("900.000") && svg.contains("1e-3") && svg.contains("4.000"), "{svg}");
        let lines: Vec<_> = svg.lines().collect();
        let label = lines.iter().position(|line| *line == "900.000").expect("a label");
        let y = lines[label - 1].split_once(" y=\"").and_then(|(_, y)| y.split('"').next()?.parse().ok());
        assert!(y.is_some_and(|y: i32| (60..120).contains(&y)), "{y:?} in {svg}");
    }
}
