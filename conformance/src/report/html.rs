//! For people who would rather look: one file, readable offline, light and dark.

use chat_spec::{REQUIREMENTS, Requirement};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::json::state;
use super::{Judged, State, Verdict, notable};
use crate::engine::{CaseResult, Finding, Run};

const STYLE: &str = include_str!("style.css");

pub fn render(judged: &Judged, run: &Run) -> String {
    let tone = match judged.verdict {
        Verdict::Conformant => "holds",
        Verdict::NotConformant => "failed",
        Verdict::Undecided | Verdict::NothingRun => "noted",
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Conformance: " (judged.sentence()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header class=(tone) {
                    h1 { (judged.target) " is " (judged.sentence()) }
                    p {
                        (run.results.len()) " cases made " (judged.judgements) " judgements in "
                        (format!("{:.1}", run.took.as_secs_f64())) " s, " (jiff::Timestamp::now().strftime("%F %T UTC").to_string()) "."
                    }
                    @if !judged.survived { p { "The server no longer answered when the run was over." } }
                }
                (tiles(judged))
                @if notable(run).next().is_some() { h2 { "What to look at" } @for result in notable(run) { (case(judged, result)) } }
                h2 { "Endpoints and events" }
                table {
                    tr { th { "" } th class="bar" { "" } th { "hold" } th { "failed" } th { "noted" } th { "not judged" } }
                    @for row in &judged.rows {
                        tr {
                            td { code { (row.name) } }
                            td class="bar" { (bar([(row.holds, "holds"), (row.failed, "failed"), (row.noted, "noted"), (row.not_judged, "notJudged")])) }
                            td { (row.holds) }
                            td class=[(row.failed > 0).then_some("failed")] { (row.failed) }
                            td { (row.noted) }
                            td { (row.not_judged) }
                        }
                    }
                }
                h2 { "Requirements" }
                @for wanted in [State::Failed, State::Noted, State::NotJudged, State::Holds] { (group(judged, wanted)) }
            }
        }
    };
    page.into_string()
}

fn tiles(judged: &Judged) -> Markup {
    let tile = |wanted: State, title: &str| html! { div class=(state(wanted)) { strong { (judged.count(wanted)) } " " (title) } };
    html! {
        section class="tiles" {
            (tile(State::Holds, "requirements hold"))
            (tile(State::Failed, "failed"))
            (tile(State::Noted, "noted"))
            (tile(State::NotJudged, "not judged"))
        }
    }
}

fn bar(parts: [(usize, &str); 4]) -> Markup {
    let total = parts.iter().map(|(count, _)| count).sum::<usize>().max(1);
    html! {
        div class="stack" {
            @for (count, class) in parts {
                @if count > 0 { span class=(class) style={ "width:" (count * 100 / total) "%" } title={ (count) " " (class) } {} }
            }
        }
    }
}

fn case(judged: &Judged, result: &CaseResult) -> Markup {
    html! {
        article {
            h3 { (result.title()) }
            @match &result.finding {
                Finding::Judged => {}
                Finding::Inconclusive(why) => { p class="noted" { "Inconclusive: " (why) } }
                Finding::NotApplicable(why) => { p { "Not run: " (why) } }
                Finding::Broken(why) => { p class="failed" { "The case is broken: " (why) } }
            }
            @for failure in &result.tally.failures {
                dl class=(state(judged.weight(failure))) {
                    dt { (tag(failure.requirement)) }
                    dd { (failure.requirement.text) }
                    dt { "expected" } dd { (failure.expected) }
                    dt { "got" } dd { (failure.got) }
                }
            }
            @if !result.transcript.entries.is_empty() {
                details {
                    summary { "Transcript, " (result.transcript.entries.len()) " lines" }
                    pre { (result.transcript.lines(usize::MAX, 2000).join("\n")) }
                }
            }
        }
    }
}

fn group(judged: &Judged, wanted: State) -> Markup {
    let members: Vec<&Requirement> = REQUIREMENTS
        .iter()
        .copied()
        .filter(|r| judged.states.get(r.id) == Some(&wanted))
        .collect();
    html! {
        @if !members.is_empty() {
            details open[wanted == State::Failed] {
                summary { (members.len()) " " (match wanted { State::Failed => "failed", State::Noted => "noted", State::NotJudged => "not judged", State::Holds => "hold" }) }
                table { @for requirement in members { tr { td { (tag(requirement)) } td { (requirement.text) } } } }
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
