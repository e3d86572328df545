//! What was found out, added up and shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use chat_spec::{Level, REQUIREMENTS, Requirement};
use serde_json::{Value, json};

use super::alive::Excuse;
use super::hunt::Hunted;
use super::part::Part;

/// Everything about one run over the mutants.
pub struct Proof {
    /// Mutants of the wire, faults of the server, and mutants that requirements have of their own.
    pub(super) hunted: Vec<Hunted>,
    /// Cases that could not be used, and why.
    pub unusable: Vec<(String, String)>,
    /// Parts of it that could not be run, and why.
    pub(super) missing: Vec<(Part, String)>,
    pub(super) excuses: Vec<Excuse>,
    /// Mutants or cases were left out by selection: what is missing means nothing.
    pub partial: bool,
    pub took: Duration,
}

/// Killed and alive at a level.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    pub proved: usize,
    pub excused: usize,
    pub all: usize,
}

impl Proof {
    /// The mutants that made the suite report each requirement.
    pub fn killers(&self) -> BTreeMap<&'static str, Vec<&str>> {
        let mut killers: BTreeMap<&'static str, Vec<&str>> = BTreeMap::new();
        for hunted in &self.hunted {
            for id in &hunted.reported {
                killers.entry(id).or_default().push(&hunted.mutant);
            }
        }
        killers
    }

    /// Mutants that nothing reported; those that requirements have of their own count as requirements.
    fn alive(&self) -> impl Iterator<Item = &Hunted> {
        let real = self.hunted.iter().filter(|hunted| !is_own(hunted));
        real.filter(|hunted| !hunted.killed())
    }

    /// Requirements that no mutant made the suite report.
    pub fn unproved(&self) -> Vec<&'static Requirement> {
        let killers = self.killers();
        let all = REQUIREMENTS
            .iter()
            .copied()
            .filter(|requirement| requirement.level != Level::May);
        all.filter(|requirement| !killers.contains_key(requirement.id))
            .collect()
    }

    pub fn count(&self, level: Level) -> Count {
        let unproved: BTreeSet<&str> = self.unproved().iter().map(|requirement| requirement.id).collect();
        let mut count = Count::default();
        for requirement in REQUIREMENTS.iter().filter(|requirement| requirement.level == level) {
            count.all += 1;
            if !unproved.contains(requirement.id) {
                count.proved += 1;
            } else if self.excuses.iter().any(|excuse| excuse.of_requirement(requirement.id)) {
                count.excused += 1;
            }
        }
        count
    }

    /// Why the suite is not proved; nothing when it is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = Vec::new();
        for hunted in self.alive() {
            if !self.excuses.iter().any(|excuse| excuse.of_mutant(&hunted.mutant)) {
                problems.push(format!("alive: {} ({})", hunted.mutant, chances(hunted)));
            }
        }
        // A part that a selection leaves nothing of may be missing; the other store is not even begun then.
        let counts = |part: &Part| !self.partial || *part == Part::OtherStore;
        let missing = self.missing.iter().filter(|(part, _)| counts(part));
        problems.extend(missing.map(|(_, why)| format!("not run: {why}")));
        if self.partial {
            return problems;
        }
        let unproved = self.unproved();
        for requirement in &unproved {
            if !self.excuses.iter().any(|excuse| excuse.of_requirement(requirement.id)) {
                problems.push(format!("never reported: {} ({})", requirement.id, requirement.level));
            }
        }
        let alive: BTreeSet<&str> = self.alive().map(|hunted| hunted.mutant.as_str()).collect();
        let unproved: BTreeSet<&str> = unproved.iter().map(|requirement| requirement.id).collect();
        for excuse in &self.excuses {
            if excuse.is_stale(&alive, &unproved) {
                problems.push(format!("stale in mutants.toml: {}", excuse.title()));
            }
        }
        problems
    }

    /// For the terminal and, with a table of all requirements, for a page.
    pub fn markdown(&self, whole: bool) -> String {
        let mut text = String::from("# Proof that the suite can fail\n\n");
        let real: Vec<&Hunted> = self.hunted.iter().filter(|hunted| !is_own(hunted)).collect();
        let killed = real.iter().filter(|hunted| hunted.killed()).count();
        let by_name = real.iter().filter(|hunted| hunted.by_name()).count();
        let _ = writeln!(
            text,
            "{killed} of {} mutants killed ({:.1} %), {by_name} of them for a reason that they name; {} s.\n",
            real.len(),
            percent(killed, real.len()),
            self.took.as_secs()
        );
        let kinds: BTreeSet<&str> = real.iter().map(|hunted| kind(hunted)).collect();
        let _ = writeln!(text, "| mutants | killed | alive |\n|---|---|---|");
        for one in kinds {
            let of_kind = || real.iter().filter(|hunted| kind(hunted) == one);
            let killed = of_kind().filter(|hunted| hunted.killed()).count();
            let _ = writeln!(text, "| {one} | {killed} | {} |", of_kind().count() - killed);
        }
        let _ = writeln!(
            text,
            "\n| requirements | reported under some mutant | excused | all |\n|---|---|---|---|"
        );
        for level in [Level::Must, Level::Should] {
            let Count { proved, excused, all } = self.count(level);
            let _ = writeln!(
                text,
                "| {level} | {proved} ({:.1} %) | {excused} | {all} |",
                percent(proved, all)
            );
        }
        for (name, why) in &self.unusable {
            let _ = writeln!(text, "\nNot used: {name}: {why}");
        }
        for (_, why) in &self.missing {
            let _ = writeln!(text, "\nNot run: {why}");
        }
        let problems = self.problems();
        if !problems.is_empty() {
            let _ = writeln!(text, "\n## Not proved\n");
            for problem in &problems {
                let _ = writeln!(text, "- {problem}");
            }
        }
        if whole {
            self.write_table(&mut text);
        }
        text
    }

    fn write_table(&self, text: &mut String) {
        let killers = self.killers();
        let _ = writeln!(
            text,
            "\n## By requirement\n\n| requirement | level | mutants that made it fail | one of them |\n|---|---|---|---|"
        );
        for requirement in REQUIREMENTS
            .iter()
            .filter(|requirement| requirement.level != Level::May)
        {
            let by = killers.get(requirement.id).map_or(&[][..], Vec::as_slice);
            // A fault of a server says most.
            let best = by.iter().find(|name| name.starts_with("fault/")).or(by.first());
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                requirement.id,
                requirement.level,
                by.len(),
                best.copied().unwrap_or("**none**").replace('|', "\\|")
            );
        }
        let _ = writeln!(text, "\n## Alive\n");
        for hunted in self.alive() {
            let excuse = self.excuses.iter().find(|excuse| excuse.of_mutant(&hunted.mutant));
            let reason = excuse.map_or("(no reason yet)", |excuse| excuse.reason.as_str());
            let _ = writeln!(text, "- {} ({}): {reason}", hunted.mutant, chances(hunted));
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let killers = self.killers();
        json!({
            "seconds": self.took.as_secs_f64(),
            "mutants": self.hunted.iter().map(|hunted| json!({
                "name": hunted.mutant,
                "breaks": hunted.breaks,
                "killed": hunted.killed(),
                "byName": hunted.by_name(),
                "reported": hunted.reported,
                "by": hunted.by,
                "chances": hunted.chances,
                "tries": hunted.tries,
            })).collect::<Vec<_>>(),
            "requirements": REQUIREMENTS.iter().map(|requirement| json!({
                "id": requirement.id,
                "level": requirement.level.name(),
                "mutants": killers.get(requirement.id).map_or(0, Vec::len),
            })).collect::<Vec<_>>(),
            "problems": self.problems(),
        })
    }
}

fn is_own(hunted: &Hunted) -> bool {
    kind(hunted) == "own"
}

fn kind(hunted: &Hunted) -> &str {
    hunted.mutant.split('/').next().unwrap_or_default()
}

fn chances(hunted: &Hunted) -> String {
    match hunted.chances {
        0 => "no case comes by it".into(),
        cases => format!("{} tries, {cases} cases come by it", hunted.tries),
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
