//! The figures of `docs/exchange.jsonl`.

use serde::Deserialize;

/// A line of the file: one payload over one network.
#[derive(Clone, Debug, Deserialize)]
pub struct ExchangeLine {
    pub network: String,
    /// Rate of a machine's link; absent or 0 without a limit.
    pub gbits_per_second: Option<f64>,
    pub ranks: usize,
    pub floats: usize,
    pub value_bytes: usize,
    /// Bytes that a rank sends in each of the two calls.
    pub sent_bytes: f64,
    pub all_to_all_median_seconds: f64,
    pub all_gather_median_seconds: f64,
}

/// All figures.
pub struct ExchangeFigures(Vec<ExchangeLine>);

/// The figures of one network with one number of ranks.
pub struct NetworkFigures<'a> {
    pub name: &'a str,
    pub ranks: usize,
    pub lines: Vec<&'a ExchangeLine>,
}

impl ExchangeFigures {
    pub fn parse(text: &str) -> Self {
        Self(text.lines().map(|line| serde_json::from_str(line).expect("a line of figures")).collect())
    }

    /// Returns the networks by name and number of ranks, in the order of the file.
    pub fn networks(&self) -> Vec<NetworkFigures<'_>> {
        let mut networks: Vec<NetworkFigures<'_>> = Vec::new();
        for line in &self.0 {
            let (name, ranks) = (line.network.as_str(), line.ranks);
            match networks.last_mut() {
                Some(last) if last.name == name && last.ranks == ranks => last.lines.push(line),
                _ => networks.push(NetworkFigures { name, ranks, lines: vec![line] }),
            }
        }
        networks
    }

    /// Returns the names of the networks.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.networks().iter().map(|network| network.name).collect();
        names.dedup();
        names
    }

    /// Returns the figures of a network for all numbers of ranks.
    pub fn of_name(&self, name: &str) -> Vec<NetworkFigures<'_>> {
        let mut networks = self.networks();
        networks.retain(|network| network.name == name);
        assert!(!networks.is_empty(), "figures of {name}");
        networks
    }
}

impl NetworkFigures<'_> {
    fn line(&self, floats: usize, value_bytes: usize) -> Option<&ExchangeLine> {
        let mut lines = self.lines.iter().copied();
        lines.find(|line| line.floats == floats && line.value_bytes == value_bytes)
    }

    /// Returns the time of both calls for a payload.
    pub fn step_seconds(&self, floats: usize, value_bytes: usize) -> Option<f64> {
        let line = self.line(floats, value_bytes)?;
        Some(line.all_to_all_median_seconds + line.all_gather_median_seconds)
    }

    /// Returns the time of one call that sends 64 bytes to each rank.
    pub fn small_seconds(&self) -> Option<f64> {
        Some(self.step_seconds(16 * self.ranks, 4)? / 2.0)
    }

    /// Returns the bytes per second that a rank sends, in f32.
    pub fn gigabytes_per_second(&self, floats: usize) -> Option<f64> {
        Some(2.0 * self.line(floats, 4)?.sent_bytes / self.step_seconds(floats, 4)? / 1e9)
    }

    /// Returns a rate as a share of the link's, if the link has a limit.
    pub fn link_share(&self, bytes_per_second: f64) -> Option<f64> {
        let gbits = self.lines[0].gbits_per_second.filter(|gbits| *gbits > 0.0)?;
        Some(8.0 * bytes_per_second / (1e9 * gbits))
    }
}
