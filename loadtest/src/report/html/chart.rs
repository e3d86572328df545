//! A chart as inline SVG: two axes, and what is drawn between them. Colours come from the page's style, so that it is dark where the
//! reader's system is.

use maud::{Markup, html};

use crate::report::figures::{thousands, three};

/// How values lie on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Linear {
        from: f64,
        to: f64,
    },
    /// By powers of ten.
    Log {
        from: f64,
        to: f64,
    },
    /// Quantiles, stretched towards 1: as far from 0.9 to 0.99 as from 0 to 0.9.
    Quantile {
        nines: f64,
    },
}

/// Of a chart over the whole width of the page, and of one that has half of it.
const WIDE: f64 = 1040.0;
const NARROW: f64 = 510.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 42.0;

/// What is drawn, from the back to the front.
pub(super) struct Chart {
    width: f64,
    height: f64,
    x: Scale,
    y: Scale,
    x_name: &'static str,
    y_name: &'static str,
    back: Vec<Markup>,
    front: Vec<Markup>,
    /// Areas without a picture that tell their values when the mouse is over them.
    tips: Vec<Markup>,
}

impl Scale {
    /// From 0 to a round number above all values.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let most = values.fold(0.0, f64::max);
        Self::Linear {
            from: 0.0,
            // Nothing at all is drawn on an axis to 1.
            to: if most > 0.0 { round_up(most * 1.05) } else { 1.0 },
        }
    }

    /// The decades around all values above 0, at least one.
    pub(super) fn decades(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values
            .filter(|value| *value > 0.0)
            .fold((f64::INFINITY, 0.0f64), |(least, most), value| {
                (least.min(value), most.max(value))
            });
        if !least.is_finite() {
            return Self::Log { from: 1.0, to: 10.0 };
        }
        let mut from = 10f64.powf(least.log10().floor());
        // Half a decade is enough room at either end.
        if least > 3.0 * from {
            from *= 2.0;
        }
        let decade = 10f64.powf(most.log10().floor());
        let to = [1.0, 2.0, 5.0, 10.0]
            .map(|times| times * decade)
            .into_iter()
            .find(|to| *to >= most * 1.05);
        Self::Log {
            from,
            to: to.unwrap_or(decade * 20.0).max(from * 10.0),
        }
    }

    /// 0 at its begin, 1 at its end.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear { from, to } => (value - from) / (to - from).max(1e-12),
            Self::Log { from, to } => (value.max(from) / from).log10() / (to / from).log10(),
            Self::Quantile { nines } => (-(1.0 - value).max(1e-9).log10()) / nines,
        }
        .clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { from, to } => {
                let step = round_up((to - from) / 7.0);
                let first = (from / step).ceil() as i64;
                let last = (to / step + 1e-9).floor() as i64;
                (first..=last).map(|number| number as f64 * step).collect()
            }
            Self::Log { from, to } => {
                let decades = (to / from).log10();
                let each: &[f64] = if decades > 3.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let first = from.log10().floor() as i32;
                (first..=first + decades.ceil() as i32 + 1)
                    .flat_map(|exponent| each.iter().map(move |times| times * 10f64.powi(exponent)))
                    .filter(|value| *value >= from * 0.999 && *value <= to * 1.001)
                    .collect()
            }
            Self::Quantile { nines } => [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999]
                .into_iter()
                .filter(|quantile: &f64| -(1.0 - quantile).log10() <= nines + 1e-9)
                .collect(),
        }
    }

    fn label(self, value: f64) -> String {
        match self {
            Self::Quantile { .. } => {
                let text = format!("{:.4}", value * 100.0);
                format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
            }
            _ if value == 0.0 => "0".into(),
            _ if value.abs() < 10.0 => three(value).trim_end_matches('0').trim_end_matches('.').to_owned(),
            _ => thousands(value),
        }
    }
}

impl Chart {
    pub(super) fn new(height: f64, (x_name, x): (&'static str, Scale), (y_name, y): (&'static str, Scale)) -> Self {
        Self {
            width: WIDE,
            height,
            x,
            y,
            x_name,
            y_name,
            back: Vec::new(),
            front: Vec::new(),
            tips: Vec::new(),
        }
    }

    /// One that has another beside it.
    pub(super) fn narrow(height: f64, x: (&'static str, Scale), y: (&'static str, Scale)) -> Self {
        Self {
            width: NARROW,
            ..Self::new(height, x, y)
        }
    }

    fn px(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (self.width - LEFT - RIGHT)
    }

    fn py(&self, value: f64) -> f64 {
        self.height - BOTTOM - self.y.place(value) * (self.height - TOP - BOTTOM)
    }

    /// A band between two lines.
    pub(super) fn band(&mut self, points: &[(f64, f64, f64)], class: &str) {
        if points.is_empty() {
            return;
        }
        let upper = points.iter().map(|(x, _, high)| (*x, *high));
        let lower = points.iter().rev().map(|(x, low, _)| (*x, *low));
        let path = self.path(upper.chain(lower));
        self.back
            .push(html! { path d={ (path) "Z" } class={ "band " (class) } {} });
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], class: &str) {
        if points.is_empty() {
            return;
        }
        let path = self.path(points.iter().copied());
        self.front.push(html! { path d=(path) class={ "line " (class) } {} });
    }

    /// A bar from the axis up, around `x`.
    pub(super) fn bar(&mut self, x: f64, width: f64, value: f64, class: &str) {
        let (from, to) = (self.px(x), self.px(x + width));
        let top = self.py(value);
        self.front.push(html! {
            rect class={ "bar " (class) } x=(two(from)) y=(two(top)) width=(two((to - from - 1.0).max(1.0)))
                height=(two((self.height - BOTTOM - top).max(0.0))) {}
        });
    }

    /// A stretch of the x axis, over the whole height, with a name.
    pub(super) fn stretch(&mut self, from: f64, to: f64, class: &str, name: &str) {
        let (from, to) = (self.px(from), self.px(to));
        self.back.push(html! {
            rect class={ "stretch " (class) } x=(two(from)) y=(two(TOP)) width=(two((to - from).max(0.0)))
                height=(two(self.height - TOP - BOTTOM)) {}
            @if !name.is_empty() && to - from > 6.5 * name.chars().count() as f64 {
                text.name x=(two((from + to) / 2.0)) y=(two(TOP + 14.0)) { (name) }
            }
        });
    }

    /// A line over the whole width, with a name.
    pub(super) fn level(&mut self, value: f64, name: &str) {
        let y = self.py(value);
        self.front.push(html! {
            line.level x1=(two(LEFT)) x2=(two(self.width - RIGHT)) y1=(two(y)) y2=(two(y)) {}
            text.levelname x=(two(self.width - RIGHT - 4.0)) y=(two(y - 5.0)) { (name) }
        });
    }

    /// A point with the interval that it lies in.
    pub(super) fn point(&mut self, x: f64, (low, value, high): (f64, f64, f64), class: &str, tip: &str) {
        let (x, y) = (self.px(x), self.py(value));
        self.front.push(html! {
            g class={ "point " (class) } {
                line x1=(two(x)) x2=(two(x)) y1=(two(self.py(low))) y2=(two(self.py(high))) {}
                circle cx=(two(x)) cy=(two(y)) r="5" { title { (tip) } }
            }
        });
    }

    /// What is told when the mouse is over this stretch of the x axis.
    pub(super) fn tip(&mut self, from: f64, to: f64, text: &str) {
        let (from, to) = (self.px(from), self.px(to));
        self.tips.push(html! {
            rect.tip x=(two(from)) y=(two(TOP)) width=(two((to - from).max(0.5))) height=(two(self.height - TOP - BOTTOM)) { title { (text) } }
        });
    }

    pub(super) fn draw(self, description: &str) -> Markup {
        let bottom = self.height - BOTTOM;
        html! {
            svg viewBox={ "0 0 " (self.width) " " (self.height) } role="img" aria-label=(description) {
                @for part in &self.back { (part) }
                g.grid {
                    @for tick in self.y.ticks() {
                        @let y = self.py(tick);
                        line x1=(two(LEFT)) x2=(two(self.width - RIGHT)) y1=(two(y)) y2=(two(y)) {}
                        text.y x=(two(LEFT - 8.0)) y=(two(y + 4.0)) { (self.y.label(tick)) }
                    }
                    @for tick in self.x.ticks() {
                        @let x = self.px(tick);
                        line.short x1=(two(x)) x2=(two(x)) y1=(two(bottom)) y2=(two(bottom + 5.0)) {}
                        text.x x=(two(x)) y=(two(bottom + 19.0)) { (self.x.label(tick)) }
                    }
                }
                line.axis x1=(two(LEFT)) x2=(two(self.width - RIGHT)) y1=(two(bottom)) y2=(two(bottom)) {}
                text.axisname x=(two((LEFT + self.width - RIGHT) / 2.0)) y=(two(self.height - 5.0)) { (self.x_name) }
                text.axisname transform={ "translate(14 " (two((TOP + bottom) / 2.0)) ") rotate(-90)" } { (self.y_name) }
                @for part in &self.front { (part) }
                @for part in &self.tips { (part) }
            }
        }
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (x, y) in points {
            path.push_str(if path.is_empty() { "M" } else { "L" });
            path.push_str(&format!("{} {}", two(self.px(x)), two(self.py(y))));
        }
        path
    }
}

/// 1, 2 or 5 times a power of ten, at or above.
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let times = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .find(|times| times * decade >= value * 0.999_999);
    times.unwrap_or(10.0) * decade
}

/// To a tenth of a pixel: files stay small.
fn two(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_their_values_and_have_round_ticks() {
        let linear = Scale::from_zero([3.0, 97.0].into_iter());
        assert_eq!(linear, Scale::Linear { from: 0.0, to: 200.0 });
        assert_eq!(linear.ticks(), [0.0, 50.0, 100.0, 150.0, 200.0]);
        let Scale::Log { from, to } = Scale::decades([0.42, 130.0].into_iter()) else {
            panic!()
        };
        assert!(from <= 0.42 && (130.0..=200.0).contains(&to), "{from} {to}");
        let quantile = Scale::Quantile { nines: 3.0 };
        assert_eq!(quantile.ticks().len(), 5);
        assert!((quantile.place(0.99) - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(quantile.label(0.999), "99.9 %");
        // Nothing to show is shown as nothing, and not as NaN.
        for scale in [Scale::from_zero(std::iter::empty()), Scale::decades(std::iter::empty())] {
            assert!(scale.place(1.0).is_finite() && scale.ticks().iter().all(|tick| tick.is_finite()));
        }
    }
}
