//! One line as a picture: SVG, to be looked at in a browser or in a document, light or dark.

use std::fmt::Write as _;

/// The whole picture, and what is around the area with the line: room for numbers and names.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 50.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 70.0;
/// Between the axis and the first point, whose number would be on it.
const INSET: f64 = 30.0;

/// Lines across, at most.
const GRID_LINES: f64 = 5.0;
/// Sizes whose largest is so many times the smallest stand by their powers of ten.
const DECADES_FROM: f64 = 20.0;

/// Colours follow what the reader prefers.
const STYLE: &str = "\
svg{background:#fff;color:#1f2328}
text{font:13px system-ui,sans-serif;fill:currentColor}
.title{font-size:16px;font-weight:600}
.grid{stroke:currentColor;stroke-opacity:.15}
.axis{stroke:currentColor;stroke-opacity:.6}
.line{fill:none;stroke:#0969da;stroke-width:2}
.point{fill:#0969da}
@media (prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.line{stroke:#58a6ff}.point{fill:#58a6ff}}";

/// What is drawn. Up it begins at 0, so that what looks flat is flat.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) across: &'a str,
    pub(super) up: &'a str,
    /// By how far across they are, from the smallest on.
    pub(super) points: Vec<(f64, f64)>,
}

impl Plot<'_> {
    /// The picture. A point that is no number is left out.
    pub(super) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n",
            title = escaped(self.title)
        );
        svg += &text(LEFT, TOP / 2.0, "start", "title", self.title);
        self.axes(&mut svg);
        let places: Vec<_> = self.points.iter().map(|point| self.place(*point)).collect();
        let drawn = places.iter().zip(&self.points);
        let drawn: Vec<_> = drawn.filter(|(_, (_, value))| value.is_finite()).collect();
        let line = drawn.iter().map(|((x, y), _)| format!("{x:.1},{y:.1}"));
        let line = line.collect::<Vec<_>>().join(" ");
        let _ = writeln!(svg, "<polyline class=\"line\" points=\"{line}\"/>");
        for ((x, y), (_, value)) in drawn {
            let _ = writeln!(
                svg,
                "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
            );
            svg += &text(*x, y - 12.0, "middle", "value", &short(*value));
        }
        svg + "</svg>\n"
    }

    /// Where a point is in the picture.
    fn place(&self, (across, up): (f64, f64)) -> (f64, f64) {
        let (first, last) = (self.scaled(self.least()), self.scaled(self.most()));
        let part = (self.scaled(across) - first) / (last - first).max(f64::MIN_POSITIVE);
        let (width, height) = (WIDTH - LEFT - INSET - RIGHT, HEIGHT - TOP - BOTTOM);
        (
            LEFT + INSET + part * width,
            HEIGHT - BOTTOM - up / self.ceiling() * height,
        )
    }

    /// By its power of ten, where the sizes span some: then 0 is a power below the smallest of the others.
    fn scaled(&self, across: f64) -> f64 {
        let others = self.points.iter().map(|(across, _)| *across);
        let smallest = others.filter(|across| *across > 0.0).reduce(f64::min);
        match smallest {
            Some(smallest) if self.most() / smallest >= DECADES_FROM => {
                across.max(smallest / 10.0).log10()
            }
            _ => across,
        }
    }

    fn least(&self) -> f64 {
        self.points.first().map_or(0.0, |(across, _)| *across)
    }

    fn most(&self) -> f64 {
        self.points.last().map_or(1.0, |(across, _)| *across)
    }

    fn highest(&self) -> f64 {
        let values = self.points.iter().map(|(_, value)| *value);
        let highest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        if highest > 0.0 { highest } else { 1.0 }
    }

    /// The distance of two lines across: a power of ten, or two or five of it.
    fn step(&self) -> f64 {
        let least = self.highest() / GRID_LINES;
        let power = 10_f64.powf(least.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|part| part * power);
        steps
            .into_iter()
            .find(|step| *step >= least)
            .unwrap_or(least)
    }

    /// What the area reaches up to, with room for a number above the highest point.
    fn ceiling(&self) -> f64 {
        let lines = (self.highest() / self.step()).ceil();
        self.step() * (lines + 0.5)
    }

    fn axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut value = 0.0;
        while value < self.ceiling() {
            let (_, y) = self.place((self.least(), value));
            let class = if value == 0.0 { "axis" } else { "grid" };
            *svg += &line(class, (LEFT, y), (right, y));
            *svg += &text(LEFT - 10.0, y + 4.0, "end", "tick", &short(value));
            value += self.step();
        }
        *svg += &line("axis", (LEFT, TOP), (LEFT, bottom));
        for (across, _) in &self.points {
            let (x, _) = self.place((*across, 0.0));
            *svg += &line("axis", (x, bottom), (x, bottom + 5.0));
            *svg += &text(x, bottom + 22.0, "middle", "tick", &short(*across));
        }
        let middle = f64::midpoint(LEFT, right);
        *svg += &text(middle, HEIGHT - 18.0, "middle", "across", self.across);
        *svg += &text(LEFT, TOP - 8.0, "middle", "up", self.up);
    }
}

/// A number as people write it: 1500, 60 k, 10 M.
pub(super) fn short(number: f64) -> String {
    let (number, unit) = match number {
        _ if number >= 1e6 => (number / 1e6, " M"),
        _ if number >= 1e4 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    let digits = if number >= 100.0 || number.fract() == 0.0 {
        0
    } else {
        1
    };
    format!("{number:.digits$}{unit}")
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> String {
    let ((x1, y1), (x2, y2)) = (from, to);
    format!(
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n"
    )
}

fn text(x: f64, y: f64, anchor: &str, class: &str, text: &str) -> String {
    let text = escaped(text);
    format!(
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)]) -> Plot<'static> {
        Plot {
            title: "cost & <growth>",
            across: "events",
            up: "ns",
            points: points.to_vec(),
        }
    }

    /// Every element that is left open: none, in what is well-formed.
    fn open_elements(svg: &str) -> Vec<&str> {
        let mut open = Vec::new();
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("a tag that ends");
            assert!(!text.contains('>'), "{text}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split(' ').next().expect("a name");
            match name.strip_prefix('/') {
                Some(ended) => assert_eq!(open.pop(), Some(ended)),
                None if !tag.ends_with('/') => open.push(name),
                None => {}
            }
        }
        open
    }

    /// Where the points are.
    fn circles(svg: &str) -> Vec<(f64, f64)> {
        let number = |line: &str, name: &str| {
            let (_, rest) = line.split_once(name).expect("the attribute");
            let (number, _) = rest.split_once('"').expect("its end");
            number.parse().expect("a number")
        };
        let circles = svg.lines().filter(|line| line.starts_with("<circle"));
        circles
            .map(|line| (number(line, "cx=\""), number(line, "cy=\"")))
            .collect()
    }

    #[test]
    fn a_picture_is_well_formed() {
        let svg = plot(&[(1.0, 3.0), (1000.0, 4.0)]).svg();
        assert_eq!(open_elements(&svg), Vec::<&str>::new());
        assert!(svg.contains("<title>cost &amp; &lt;growth&gt;</title>"));
        assert_eq!(open_elements(&plot(&[]).svg()), Vec::<&str>::new());
    }

    #[test]
    fn decades_are_equally_far_apart() {
        let svg = plot(&[(0.0, 10.0), (1.0, 20.0), (10.0, 10.0), (100.0, 0.0)]).svg();
        let circles = circles(&svg);
        let (width, height) = (WIDTH - LEFT - INSET - RIGHT, HEIGHT - TOP - BOTTOM);
        for (index, (x, _)) in (0_u8..).zip(&circles) {
            assert!(
                (x - LEFT - INSET - width * f64::from(index) / 3.0).abs() < 0.1,
                "{x}"
            );
        }
        // Twice the value is twice as far up, and nothing is at the bottom.
        let up = |index: usize| HEIGHT - BOTTOM - circles[index].1;
        assert!((up(1) - 2.0 * up(0)).abs() < 0.2);
        assert!(up(3).abs() < 0.1 && up(1) < height);
        assert!((circles[0].1 - circles[2].1).abs() < 0.1);
    }

    #[test]
    fn a_short_way_is_not_by_powers() {
        let circles = circles(&plot(&[(0.0, 1.0), (1.0, 1.0), (4.0, 1.0)]).svg());
        let quarter = (WIDTH - LEFT - INSET - RIGHT) / 4.0;
        assert!((circles[1].0 - LEFT - INSET - quarter).abs() < 0.1);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let svg = plot(&[(1.0, 3.0), (10.0, f64::NAN), (100.0, 4.0)]).svg();
        assert_eq!(circles(&svg).len(), 2);
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 5.0, 812.4, 2.5, 1000.0, 60_000.0, 100_000.0, 1e7];
        let shown = numbers.map(short);
        assert_eq!(
            shown,
            ["0", "5", "812", "2.5", "1000", "60 k", "100 k", "10 M"]
        );
    }
}
