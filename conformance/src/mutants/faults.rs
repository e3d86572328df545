//! Mistakes of the server itself: those that no proxy can make, for they depend on what the server knows.

use std::collections::BTreeSet;
use std::io;
use std::process::Stdio;

use tokio::process::Command;

use super::baseline::{Baseline, Observed, reported};
use super::bench::Workshop;
use super::error::ProofError;
use super::hunt::Hunted;
use super::part::Part;
use super::selection::Selection;
use crate::engine::{Case, run_one};
use crate::launch::SERVE;

/// Nor are more cases asked.
const CASES: usize = 8;

/// A mistake of the server and the requirements that it breaks; whoever reports one of them has noticed.
struct Fault {
    name: &'static str,
    breaks: &'static [&'static str],
    /// Made where messages are stored, once for each kind of database.
    stored: bool,
}

const fn fault(name: &'static str, breaks: &'static [&'static str]) -> Fault {
    Fault {
        name,
        breaks,
        stored: false,
    }
}

const fn stored(name: &'static str, breaks: &'static [&'static str]) -> Fault {
    Fault {
        stored: true,
        ..fault(name, breaks)
    }
}

const FAULTS: &[Fault] = &[
    // Storing.
    stored("AckBeforeCommit", &["promises.durable.crash", "send.success.stored"]),
    fault("NoFsync", &["promises.durable.crash"]),
    stored("SeqGap", &["promises.seq.gapless"]),
    fault("SeqBeforeVisible", &["promises.seq.visible-before"]),
    stored(
        "LostIdempotency",
        &["send.idempotent.repeat-same-answer", "send.idempotent.no-second"],
    ),
    stored("IdempotencyOfAnybody", &["send.idempotent.per-sender"]),
    fault("RepeatToldAgain", &["send.idempotent.no-second"]),
    stored("ReuseAccepted", &["send.idempotent.reused"]),
    stored("ContentTrimmed", &["send.content.exact"]),
    stored("EditResetsRead", &["edit.success.keeps"]),
    stored("EditKeepsSearch", &["search.match.at-once"]),
    stored(
        "DeleteKeepsContent",
        &[
            "delete.success.content-gone",
            "shapes.message.tombstone",
            "delete.success.tombstone",
        ],
    ),
    stored("DeletedInSearch", &["search.scope.no-tombstones"]),
    stored("TombstonesHidden", &["conversation.tombstones.included"]),
    stored("DeleteKeepsUnread", &["delete.unread.not-counted"]),
    stored("UnreadOffByOne", &["chats.unread.counts", "shapes.chat.unread-count"]),
    stored("UnreadCountsOwn", &["shapes.chat.unread-own-not-counted"]),
    stored("ReadAgain", &["read.repeat.first-stays"]),
    stored("ReceiptIgnoresChat", &["receipt.chat.wrong"]),
    stored(
        "SearchEverywhere",
        &["search.scope.own-chats", "conversation.private.strangers"],
    ),
    stored("SearchOfPatterns", &["search.match.metacharacters"]),
    stored("SearchInCase", &["search.match.ascii-case"]),
    stored("NamesInCase", &["register.username.taken", "login.identifier.username"]),
    stored("InactiveFound", &["users.search.inactive-absent"]),
    stored("MessageToInactive", &["send.to.inactive"]),
    fault("FoundByEmail", &["users.search.never-email"]),
    stored("EditedAllTheSame", &["edit.rights.receiver"]),
    fault("HalfRead", &["read.unknown.refused", "read.own.refused"]),
    fault("HalfUpdated", &["profile.update.all-or-nothing"]),
    // Lists.
    fault("OffsetPaging", &["lists.cursor.growing"]),
    fault("OffsetInSearch", &["lists.cursor.growing"]),
    fault("OwnDefaultLimit", &["lists.limit.default"]),
    fault("UsersUnordered", &["users.search.order"]),
    fault("CursorSkips", &["lists.cursor.walk-complete"]),
    fault("CursorUnsealed", &["lists.cursor.other-list", "lists.cursor.broken"]),
    stored("MovedChatsLost", &["lists.cursor.growing"]),
    fault("AfterInclusive", &["conversation.after.exact"]),
    fault("LimitClamped", &["lists.limit.range"]),
    stored("ChatsUnordered", &["chats.list.order"]),
    // Rights.
    stored("StrangerReads", &["read.stranger.refused", "receipt.rights.stranger"]),
    stored("StrangerEdits", &["edit.rights.stranger", "delete.rights.stranger"]),
    stored(
        "StrangerForbidden",
        &["edit.rights.stranger", "promises.private.existence"],
    ),
    stored("ReceiverEdits", &["edit.rights.receiver", "delete.rights.receiver"]),
    fault(
        "StrangerJoins",
        &["join.stranger.not-found", "promises.private.existence"],
    ),
    fault("MassAssignment", &["json.request.unknown-never-stored"]),
    fault("ClientIdToReceiver", &["shapes.message.client-id-sender-only"]),
    fault("EmailInPicture", &["shapes.user.email-private"]),
    // Sessions and tokens.
    fault(
        "RevokedTokenLives",
        &["logout.tokens.die", "token.ended-session.invalid"],
    ),
    fault(
        "RefreshAsAccess",
        &["token.kinds.refresh-as-access", "socket.handshake.refresh-token"],
    ),
    fault("AccessAsRefresh", &["token.kinds.access-as-refresh"]),
    fault("UnsignedToken", &["token.invalid.tampered", "token.invalid.alg-none"]),
    fault("AnyAlgorithm", &["token.invalid.alg-none"]),
    fault("TokenInUrl", &["token.url.never"]),
    stored("RefreshReusable", &["refresh.reuse.code", "refresh.race.one-wins"]),
    stored("ReuseKeepsSession", &["refresh.reuse.ends-session"]),
    fault("ReuseKeepsSockets", &["refresh.reuse.closes-sockets"]),
    fault(
        "LogoutKeepsSockets",
        &["logout.sockets.disconnected", "socket.session.end"],
    ),
    fault("LogoutEndsAll", &["logout.others.live"]),
    stored("PasswordKeepsOthers", &["password.change.other-sessions"]),
    fault("SocketOutlivesToken", &["socket.expiry.disconnect"]),
    fault("GuestsHurried", &["socket.authenticate.time-out"]),
    fault("InactiveTokenLives", &["token.inactive-user.invalid"]),
    fault("UnknownUserFast", &["login.credentials.unknown-cost"]),
    fault("UnknownUserTold", &["login.credentials.unknown-alike"]),
    fault("InactiveToldFirst", &["login.inactive.wrong-password"]),
    fault("PasswordCut", &["register.password.never-cut"]),
    fault("SecondUserAccepted", &["socket.authenticate.second-user"]),
    fault("ExtensionIgnored", &["socket.expiry.extended"]),
    // Delivery.
    fault(
        "DoubledBroadcast",
        &["message.new.exactly-once", "promises.at-most-once.connection"],
    ),
    fault("FirstDeviceOnly", &["message.new.receiver-devices"]),
    fault("SenderForgotten", &["message.new.sender-other-devices"]),
    fault("OriginToldToo", &["message.new.sender-other-devices"]),
    fault(
        "OrderSwapped",
        &["events.order.one-device", "promises.seq.order-of-senders"],
    ),
    fault(
        "RestTellsNobody",
        &["promises.one-system.rest-to-socket", "message.new.receiver-devices"],
    ),
    fault(
        "FirstMessageUntold",
        &[
            "message.new.receiver-devices",
            "message.new.sender-other-devices",
            "promises.one-system.rest-to-socket",
            "join.delivery.not-needed",
        ],
    ),
    fault("JoinTold", &["join.silent.to-others"]),
    fault("OneReceiptPerChat", &["read.event.sender-devices"]),
    fault("EditToldToSenderOnly", &["edit.event.both-sides"]),
    fault("RestMessageSent", &["message.sent.after-rest"]),
    fault(
        "HungUpForgotten",
        &[
            "edit.event.both-sides",
            "read.event.sender-devices",
            "delete.event.both-sides",
        ],
    ),
    // Presence and typing.
    fault("OfflineWithFirst", &["presence.offline.not-first"]),
    fault("NoGrace", &["presence.grace.back-in-time"]),
    fault("GraceTooLong", &["presence.offline.last-device"]),
    fault("OnlineForEachDevice", &["presence.online.not-second"]),
    fault("InvisibleListed", &["users.online.invisible-absent"]),
    fault("GoneListed", &["users.online.away-absent"]),
    fault("InvisibleLeavesLoudly", &["presence.invisible.leaves-silently"]),
    fault("InvisibleSeenLast", &["presence.invisible.looks-away"]),
    fault("InvisibleInLists", &["presence.invisible.looks-away"]),
    fault("StatusKept", &["presence.status.reset"]),
    fault("StatusUntold", &["presence.status.changed"]),
    fault("StatusKeepsLastSeen", &["presence.last-seen.set"]),
    fault("TypingLeaks", &["typing.event.nobody-else"]),
    fault("TypingForever", &["typing.stop.time-out"]),
    fault("TypingHurried", &["typing.stop.time-out"]),
    fault("TypingLate", &["typing.stop.time-out"]),
    fault("TypingNotRenewed", &["typing.stop.time-out"]),
    fault("TypingStaysOnDisconnect", &["typing.stop.on-disconnect"]),
    // Limits and hostile input.
    fault(
        "LimitsUnmounted",
        &["limits.requests.per-user", "limits.auth.own-bucket"],
    ),
    fault("LimitsByAddress", &["limits.requests.per-user"]),
    fault("ForwardedBelieved", &["limits.forwarded.untrusted"]),
    fault("EventsUnlimited", &["limits.events.over"]),
    fault("DetailsEcho", &["errors.details.no-echo"]),
    fault("LengthInUtf16", &["lengths.unit.unicode-scalars"]),
    fault("OneDetailOnly", &["errors.details.all-fields-at-once"]),
    fault(
        "PayloadKills",
        &[
            "events.payload.process-lives",
            "events.payload.malformed",
            "events.ack.success",
        ],
    ),
    fault("UnknownEventIgnored", &["events.unknown.code", "events.ack.success"]),
    fault("BadPayloadIgnored", &["events.payload.malformed", "events.ack.success"]),
    fault("AnyRequestId", &["headers.request-id.replaced"]),
    fault(
        "MalformedIdFails",
        &["ids.hostile.no-5xx", "ids.malformed.same-as-unknown"],
    ),
    fault("CallsLetForeignersIn", &["http.cors.no-wildcard-credentials"]),
    fault("InternalsTold", &["errors.server.no-internals"]),
    fault("ZeroIsDefault", &["limits.zero.off"]),
    fault("ZeroUnlogged", &["limits.zero.logged"]),
    // Several nodes.
    fault(
        "NodesApart",
        &["cluster.delivery.across-nodes", "cluster.presence.across-nodes"],
    ),
    fault("LimitsPerNode", &["cluster.limits.across-nodes"]),
    fault("SessionsPerNode", &["cluster.sessions.across-nodes"]),
];

impl Fault {
    fn is_of(&self, part: Part) -> bool {
        let several = self.breaks.iter().all(|id| id.starts_with("cluster."));
        match part {
            Part::OneNode => !several,
            Part::OtherStore => self.stored,
            Part::SeveralNodes => several,
        }
    }

    fn title(&self, part: Part) -> String {
        match part {
            Part::OtherStore => format!("fault/{} on MongoDB", self.name),
            Part::OneNode | Part::SeveralNodes => format!("fault/{}", self.name),
        }
    }
}

/// Whether a case is about what one of the selected mistakes on the other store breaks.
pub(super) fn is_judge_of_stored(selection: &Selection, case: &Case) -> bool {
    let part = Part::OtherStore;
    let selected = FAULTS
        .iter()
        .filter(|fault| fault.is_of(part) && selection.takes(&fault.title(part)));
    let mut broken = selected.flat_map(|fault| fault.breaks);
    broken.any(|id| case.requirements.iter().any(|requirement| requirement.id == *id))
}

/// Whether this build of the server knows any.
pub(super) async fn are_here() -> io::Result<bool> {
    Ok(!known().await?.is_empty())
}

/// The mistakes that this build of the server knows; none when it was built without.
async fn known() -> io::Result<BTreeSet<String>> {
    let mut command = Command::new(std::env::current_exe()?);
    let listed = command.args([SERVE, "faults"]).stdin(Stdio::null()).output().await?;
    let names = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    Ok(if listed.status.success() {
        names
    } else {
        BTreeSet::new()
    })
}

/// One deployment for each mistake, judged by the cases that judge what it breaks.
pub(super) async fn hunt_all(
    selection: &Selection,
    part: Part,
    workshop: &Workshop,
    baseline: &Baseline,
    said: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Hunted>, ProofError> {
    let known = known().await?;
    if known.is_empty() {
        said("this build has no faults of the server: build with --features faults");
        return Ok(Vec::new());
    }
    let ours: BTreeSet<String> = FAULTS.iter().map(|fault| fault.name.to_owned()).collect();
    let differing: Vec<&String> = ours.symmetric_difference(&known).collect();
    if !differing.is_empty() {
        return Err(ProofError::Target(format!(
            "the suite and the server do not know the same faults: {differing:?}"
        )));
    }
    let selected: Vec<&Fault> = (FAULTS.iter())
        .filter(|fault| selection.takes(&fault.title(part)) && fault.is_of(part))
        .filter(|fault| selection.sample.is_none() || fault.breaks.iter().any(|id| !baseline.judging(id).is_empty()))
        .collect();
    let selected = selection.sampled(selected);
    said(&format!("{} faults of the server", selected.len()));
    let hunts = selected.iter().map(|fault| hunt(workshop, baseline, fault, part));
    // Each has processes of its own.
    let jobs = selection.jobs.clamp(1, 8);
    Ok(selection.all(hunts, selected.len(), jobs, said).await?)
}

async fn hunt(workshop: &Workshop, baseline: &Baseline, fault: &Fault, part: Part) -> io::Result<Hunted> {
    let mut cases: Vec<&Observed> = Vec::new();
    for id in fault.breaks {
        for judging in baseline.judging(id) {
            if !cases.iter().any(|known| known.case.id() == judging.case.id()) {
                cases.push(judging);
            }
        }
    }
    let mut hunted = Hunted {
        mutant: fault.title(part),
        breaks: fault.breaks.to_vec(),
        reported: BTreeSet::new(),
        by: None,
        chances: cases.len(),
        tries: 0,
    };
    if cases.is_empty() {
        return Ok(hunted);
    }
    let bench = workshop.start(Some(fault.name)).await.map_err(io::Error::other)?;
    for observed in cases.into_iter().take(CASES) {
        hunted.tries += 1;
        let result = run_one(&bench.target, observed.case.clone(), super::SEED).await;
        // Only what it breaks counts: a server that is ill in another way proves nothing.
        let named = reported(&result).filter(|id| fault.breaks.contains(id));
        hunted.reported.extend(named);
        if hunted.killed() {
            hunted.by = Some(result.title());
            break;
        }
    }
    Ok(hunted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_breaks_what_exists() {
        for fault in FAULTS {
            assert!(!fault.breaks.is_empty(), "{}", fault.name);
            for id in fault.breaks {
                assert!(chat_spec::requirement(id).is_some(), "{}: {id}", fault.name);
            }
        }
        assert!(FAULTS.len() >= 40);
    }

    #[test]
    fn what_can_go_wrong_on_mongodb_is_tried_there() {
        let store = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/src/store/mongo");
        let files = std::fs::read_dir(store).unwrap().map(|file| file.unwrap().path());
        let code: String = files
            .filter(|path| path.is_file())
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        let switches = code.split("fault!(").skip(1).filter_map(|rest| rest.split(')').next());
        let there: BTreeSet<&str> = switches.flat_map(|names| names.split(", ")).collect();
        let tried = FAULTS.iter().filter(|fault| fault.stored).map(|fault| fault.name);
        assert_eq!(tried.collect::<BTreeSet<_>>(), there);
    }
}
