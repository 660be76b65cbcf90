//! Bars as SVG, which a page has in it.

/// A bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// What it counts.
    pub label: String,
    /// How many.
    pub count: usize,
    /// Its distance from the top.
    pub top: usize,
    /// Its length.
    pub width: usize,
}

/// Bars below each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chart {
    /// The bars.
    pub bars: Vec<Bar>,
    /// The height of all of them.
    pub height: usize,
}

/// The height of a bar with its distance to the next.
const STEP: usize = 24;
/// The length of the longest.
const LONGEST: usize = 420;
/// Characters of a label; its end says more than its beginning.
const LABEL: usize = 34;

impl Chart {
    /// A chart of these counts, at most `most` of them.
    #[must_use]
    pub fn of(mut counts: Vec<(String, usize)>, most: usize) -> Self {
        counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let rest: usize = counts.iter().skip(most).map(|(_, count)| count).sum();
        counts.truncate(most);
        if rest > 0 {
            counts.push(("all others".to_owned(), rest));
        }
        let largest = counts
            .iter()
            .map(|(_, count)| *count)
            .max()
            .unwrap_or(1)
            .max(1);
        let bars: Vec<Bar> = counts
            .into_iter()
            .enumerate()
            .map(|(place, (label, count))| Bar {
                label: shortened(&label),
                top: place * STEP,
                // A small one is seen too.
                width: (count * LONGEST / largest).max(usize::from(count > 0) * 2),
                count,
            })
            .collect();
        Self {
            height: bars.len() * STEP,
            bars,
        }
    }
}

fn shortened(label: &str) -> String {
    let characters = label.chars().count();
    if characters <= LABEL {
        return label.to_owned();
    }
    let end: String = label.chars().skip(characters - LABEL + 1).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_comes_first_and_the_rest_is_one() {
        let counts = [("a", 1), ("b", 1_000), ("c", 0), ("d", 2), ("e", 3)];
        let counts = counts
            .map(|(label, count)| (label.to_owned(), count))
            .to_vec();
        let chart = Chart::of(counts, 3);
        let bars: Vec<(&str, usize, usize)> = chart
            .bars
            .iter()
            .map(|bar| (bar.label.as_str(), bar.count, bar.width))
            .collect();
        assert_eq!(
            bars,
            [
                ("b", 1_000, 420),
                ("e", 3, 2),
                ("d", 2, 2),
                ("all others", 1, 2)
            ]
        );
        assert_eq!((chart.height, chart.bars[1].top), (96, 24));
        assert_eq!(Chart::of(Vec::new(), 3), Chart::default());
        assert_eq!(shortened(&"x".repeat(40)).chars().count(), 34);
    }
}
