//! For people who would rather look: one file, readable offline, light and dark, by mouse and by keyboard.
//!
//! All that is said stands in the page itself; its script draws the exchanges of a case when the case is opened, filters, and
//! writes snippets that send the same again.

mod data;

use chat_spec::{REQUIREMENTS, Requirement};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Conclusion, Judged, State, first_reason, reason};
use crate::coverage::{Cell, Group};
use crate::engine::{CaseResult, Failure, Run, Verdict};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(
    include_str!("page.js"),
    include_str!("diagram.js"),
    include_str!("replay.js")
);
/// Nothing is loaded from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

pub fn render(judged: &Judged, run: &Run) -> String {
    let tone = match judged.conclusion {
        Conclusion::Conformant => "pass",
        Conclusion::NotConformant => "fail",
        Conclusion::Undecided | Conclusion::NothingRun => "warn",
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (judged.target) ": " (judged.sentence()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#cases" { "To the cases" }
                (head(judged, run, tone))
                main {
                    (notices(judged, run))
                    (areas(judged, run))
                    section id="cases" {
                        h2 { "Cases" }
                        (filters(judged))
                        div id="list" { @for (number, (result, verdict)) in ordered(judged, run).into_iter().enumerate() { (case(judged, result, verdict, number)) } }
                        p id="none" hidden { "No case fits." }
                    }
                    section { h2 { "Coverage of the contract" } (rows(judged)) @for group in judged.coverage.iter().flat_map(|matrix| &matrix.groups) { (cells(group)) } }
                    section {
                        h2 { "Requirements" }
                        @for wanted in [State::Failed, State::Flaky, State::Known, State::Noted, State::NotJudged, State::Holds] { (group(judged, wanted)) }
                    }
                }
                footer { "Made by chat-conformance " (env!("CARGO_PKG_VERSION")) ", " (jiff::Timestamp::now().strftime("%F %T UTC").to_string()) ". Tokens and passwords are shown as names." }
                script type="application/json" id="data" { (PreEscaped(data::embedded(&ordered(judged, run)))) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// What somebody has to look at comes first.
fn ordered<'a>(judged: &'a Judged, run: &'a Run) -> Vec<(&'a CaseResult, Verdict)> {
    let mut all: Vec<_> = judged.each(run).collect();
    all.sort_by_key(|(_, verdict)| match verdict {
        Verdict::Harness => 0,
        Verdict::Fail => 1,
        Verdict::UnexpectedPass => 2,
        Verdict::Inconclusive => 3,
        Verdict::Flaky => 4,
        Verdict::Known => 5,
        Verdict::Warn => 6,
        Verdict::Pass => 7,
        Verdict::Skipped => 8,
    });
    all
}

fn head(judged: &Judged, run: &Run, tone: &str) -> Markup {
    let claims: Vec<&str> = judged.claims().iter().map(|profile| profile.name()).collect();
    let fact = |name: &str, value: String| html! { div { dt { (name) } dd { (value) } } };
    html! {
        header class=(tone) {
            div class="top" {
                div {
                    p class="eyebrow" { "Conformance to the chat API" }
                    h1 { (judged.target) }
                    p class="verdict" { span class={ "dot " (tone) } {} (judged.sentence()) }
                }
                button id="theme" type="button" title="Light, dark or as the system (t)" { "Theme" }
            }
            dl class="facts" {
                (fact("Claims", claims.join(", ")))
                (fact("Requirements", judged.requirements()))
                (fact("Cases", format!("{}, with {} judgements", Judged::counted(run), judged.judgements)))
                (fact("Took", format!("{:.1} s", run.took.as_secs_f64())))
                (fact("Seed", run.seed.to_string()))
            }
        }
    }
}

fn notices(judged: &Judged, run: &Run) -> Markup {
    html! {
        @if let Some(cut) = &run.cut {
            aside class="notice fail" {
                strong { @if cut.by_target { "The target failed" } @else { "The run was cut short" } " after " (format!("{:.1} s", cut.at.as_secs_f64())) }
                p { (cut.why) }
                @if cut.by_target && !cut.running.is_empty() { p { "Running when it was noticed: " @for id in &cut.running { code { (id) } " " } } }
            }
        } @else if !judged.survived { aside class="notice fail" { strong { "The server no longer answered when the run was over." } } }
        @if !judged.stale.is_empty() { aside class="notice fail" { strong { "Known failures that do not fail any more" } p { (judged.stale.join(", ")) } } }
        @if !judged.expired.is_empty() { aside class="notice fail" { strong { "Known failures that are over" } p { (judged.expired.join(", ")) } } }
        @for warning in &judged.warnings { aside class="notice warn" { strong { "Before the run" } p { (warning) } } }
    }
}

fn areas(judged: &Judged, run: &Run) -> Markup {
    let areas = judged.areas(run);
    html! {
        section {
            h2 { "By area" }
            div class="areas" {
                @for (area, counts) in &areas {
                    @let total: usize = counts.values().sum();
                    @let worst = counts.keys().filter(|verdict| verdict.is_notable()).max().copied().unwrap_or(Verdict::Pass);
                    button type="button" class={ "area " (tone(worst)) } data-area=(area) {
                        span class="name" { (area) }
                        span class="number" { (counts.get(&Verdict::Pass).copied().unwrap_or(0)) "/" (total) }
                        span class="stack" { @for (verdict, count) in counts { span class=(tone(*verdict)) style={ "flex-grow:" (count) } title={ (count) " " (verdict) } {} } }
                    }
                }
            }
        }
    }
}

fn filters(judged: &Judged) -> Markup {
    html! {
        div class="filters" role="search" {
            input id="filter" type="search" placeholder="Filter by case, requirement or text  ( / )" aria-label="Filter cases";
            div class="chips" {
                @for verdict in Verdict::ALL.into_iter().rev() {
                    @let count = judged.cases(verdict);
                    @if count > 0 { button type="button" class={ "chip " (tone(verdict)) } data-verdict=(verdict.name()) aria-pressed="false" { (count) " " (verdict) } }
                }
            }
            p class="keys" { kbd { "j" } " " kbd { "k" } " next and previous case, " kbd { "Enter" } " open, " kbd { "/" } " filter, " kbd { "Esc" } " clear, " kbd { "t" } " theme" }
        }
    }
}

fn case(judged: &Judged, result: &CaseResult, verdict: Verdict, number: usize) -> Markup {
    let id = result.case.id();
    let held = result.tally.passed.keys().copied();
    let failed = result.tally.failures.iter().map(|failure| failure.requirement.id);
    let searched: Vec<&str> = held.chain(failed).collect();
    let first = result.first.as_deref().filter(|_| verdict == Verdict::Flaky);
    html! {
        details class={ "case " (tone(verdict)) } id=(id) data-number=(number) data-verdict=(verdict.name()) data-area=(result.case.area) data-text={ (id) " " (searched.join(" ")) } {
            summary {
                span class={ "mark " (tone(verdict)) } { (verdict) }
                span class="title" { small { (result.case.area) } " " (result.case.name.replace('_', " ")) }
                @if let Some(failure) = result.tally.failures.first() { code class="about" { (failure.requirement.id) } }
                span class="took" { (result.took.as_millis()) " ms" }
            }
            div class="inside" {
                @if let Some(why) = reason(result) { p class="why" { (why) } }
                @if let Some(first) = first { p class="why" { "Failed the first time, and not when it was run again:" } (failures(judged, first)) }
                @if let Some(why) = first_reason(result) { p class="why" { "The first try came to nothing: " (why) } }
                (failures(judged, result))
                @if !result.tally.passed.is_empty() {
                    details class="held" {
                        summary { (result.tally.passed.len()) " requirements held" }
                        ul { @for (id, times) in &result.tally.passed { li { code { (id) } " " small { (times) "×" } } } }
                    }
                }
                div class="exchange" {}
            }
        }
    }
}

/// The same failure of the same requirement is shown once.
fn failures(judged: &Judged, result: &CaseResult) -> Markup {
    let id = result.case.id();
    let mut shown: Vec<(&Failure, usize)> = Vec::new();
    for failure in &result.tally.failures {
        let same = |known: &Failure| {
            known.requirement.id == failure.requirement.id
                && known.expected == failure.expected
                && known.got == failure.got
        };
        match shown.iter_mut().find(|(known, _)| same(known)) {
            Some((_, times)) => *times += 1,
            None => shown.push((failure, 1)),
        }
    }
    html! {
        @for (failure, times) in shown {
            dl class={ "failure " (judged.weight(failure, &id).name()) } {
                dt { (tag(failure.requirement)) @if times > 1 { small { " " (times) " times" } } } dd { (failure.requirement.text) }
                dt { "expected" } dd { code { (failure.expected) } }
                dt { "got" } dd { code { (failure.got) } }
            }
        }
    }
}

fn rows(judged: &Judged) -> Markup {
    html! {
        table class="rows" {
            caption { "Requirements by endpoint and event" }
            thead { tr { th { "Endpoint or event" } th { "" } th { "hold" } th { "failed" } th { "noted" } th { "not judged" } } }
            tbody {
                @for row in &judged.rows {
                    tr class=[(row.failed > 0).then_some("bad")] {
                        th scope="row" { code { (row.name) } }
                        td class="bar" {
                            span class="stack" {
                                @for (count, class) in [(row.holds, "pass"), (row.failed, "fail"), (row.noted, "warn"), (row.not_judged, "off")] {
                                    @if count > 0 { span class=(class) style={ "flex-grow:" (count) } {} }
                                }
                            }
                        }
                        @for count in [row.holds, row.failed, row.noted, row.not_judged] { td class=[(count == 0).then_some("zero")] { (count) } }
                    }
                }
            }
        }
    }
}

/// A row for each call, event or property, with its cells side by side.
fn cells(group: &Group) -> Markup {
    let due = group
        .cells
        .iter()
        .filter(|cell| cell.seen > 0 || cell.excused.is_none());
    let (seen, all) = (group.cells.iter().filter(|cell| cell.seen > 0).count(), due.count());
    let mut rows: Vec<(&str, Vec<&Cell>)> = Vec::new();
    for cell in &group.cells {
        match rows.iter_mut().find(|(name, _)| *name == cell.row) {
            Some((_, cells)) => cells.push(cell),
            None => rows.push((&cell.row, vec![cell])),
        }
    }
    html! {
        details class="matrix" {
            summary { (group.title) ": " strong class=(if seen < all { "lacking" } else { "whole" }) { (seen) " of " (all) } " cells" }
            table {
                tbody {
                    @for (name, cells) in &rows {
                        tr {
                            th scope="row" { code { (name) } }
                            td { @for cell in cells { (chip(cell)) " " } }
                        }
                    }
                }
            }
        }
    }
}

fn chip(cell: &Cell) -> Markup {
    let (class, title) = match (cell.seen, &cell.excused) {
        (0, None) => ("missing", "never seen".to_owned()),
        (0, Some(why)) => ("excused", why.to_string()),
        (times, _) => ("seen", format!("seen {times} times")),
    };
    html! { span class={ "cell " (class) } title=(title) { (cell.column) @if class == "missing" { " (never)" } } }
}

fn group(judged: &Judged, wanted: State) -> Markup {
    let all = REQUIREMENTS.iter().copied();
    let members: Vec<&Requirement> = all.filter(|r| judged.states.get(r.id) == Some(&wanted)).collect();
    let words = match wanted {
        State::Failed => "failed",
        State::Flaky => "failed, and did not when the case was run again",
        State::Known => "failed as expected",
        State::Noted => "noted: a SHOULD, a MAY, or of a profile that is not claimed",
        State::NotJudged => "not judged",
        State::Holds => "hold",
    };
    html! {
        @if !members.is_empty() {
            details class="group" open[wanted == State::Failed] {
                summary { (members.len()) " " (words) }
                table { tbody { @for requirement in members { tr { td { (tag(requirement)) } td { (requirement.text) } } } } }
            }
        }
    }
}

fn tag(requirement: &Requirement) -> Markup {
    html! {
        code { (requirement.id) } " "
        small { (requirement.level) " " (requirement.profile) @for number in requirement.owasp.iter().chain(requirement.asvs) { " " (number) } }
    }
}

/// The four colours of the page.
fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn | Verdict::Known | Verdict::Flaky | Verdict::Inconclusive => "warn",
        Verdict::Skipped => "off",
        Verdict::UnexpectedPass | Verdict::Fail | Verdict::Harness => "fail",
    }
}
