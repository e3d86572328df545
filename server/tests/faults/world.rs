//! People with devices at the nodes of a deployment, and all that is known of what they did.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::device::Device;
use crate::history::{Heard, Kept, List, Listed, MustHave, Record, Sent, View};
use crate::load::{Lane, Load, WINDOW, Way, outcome_of_ack};
use crate::parts::Parts;
use crate::person::{PATIENCE, Person};

/// The contract has 15 s; the rest is for a machine that runs all of this at once.
const PRESENT_WITHIN: Duration = Duration::from_secs(20);
/// Conversations that are read at a time.
const READS: usize = 8;

pub(crate) struct World {
    pub(crate) parts: Parts,
    pub(crate) people: Vec<Arc<Person>>,
    /// At which node the device of each is.
    pub(crate) homes: Vec<usize>,
    pub(crate) devices: Vec<Arc<Device>>,
    /// Second devices, which only listen: whose, at which node.
    pub(crate) watchers: Vec<(usize, usize, Device)>,
    /// Those who send nothing by the load.
    pub(crate) guests: Vec<Guest>,
    /// Everybody talks with so many who come next.
    steps: usize,
    pub(crate) record: Record,
    /// What devices that are gone heard.
    pub(crate) past: Vec<Heard>,
    /// By node, reader and peer: what was read so far.
    read: HashMap<(usize, usize, usize), Vec<Kept>>,
    lanes: usize,
    invited: usize,
}

/// Comes and goes, and probes.
pub(crate) struct Guest {
    pub(crate) person: Person,
    pub(crate) device: Option<Device>,
}

impl World {
    /// So many people, each with a device at one of the nodes in turn, who talk with the `steps` next ones.
    pub(crate) async fn on(parts: Parts, people: usize, steps: usize) -> Self {
        let register = |number| {
            let url = parts.url(number % parts.nodes.len()).to_owned();
            async move { Arc::new(Person::register(&url, &format!("person{number}")).await) }
        };
        let homes = (0..people).map(|number| number % parts.nodes.len()).collect();
        let people = join_all((0..people).map(register)).await;
        let mut world = Self {
            parts,
            people,
            homes,
            devices: Vec::new(),
            watchers: Vec::new(),
            guests: Vec::new(),
            steps,
            record: Record::default(),
            past: Vec::new(),
            read: HashMap::new(),
            lanes: 0,
            invited: 0,
        };
        for number in 0..world.people.len() {
            world.devices.push(world.open(number).await);
        }
        world.presence_is_right(Instant::now()).await;
        world
    }

    /// Where a person is at home.
    pub(crate) fn home(&self, person: usize) -> usize {
        self.homes[person]
    }

    pub(crate) fn home_url(&self, person: usize) -> &str {
        self.parts.url(self.home(person))
    }

    /// One guest more, with a device at this node.
    pub(crate) async fn invite(&mut self, node: usize) {
        let url = self.parts.url(node);
        let person = Person::register(url, &format!("guest{}", self.invited)).await;
        let device = Some(Device::open(url, &person).await);
        self.guests.push(Guest { person, device });
        self.invited += 1;
    }

    async fn open(&self, number: usize) -> Arc<Device> {
        Arc::new(Device::open(self.home_url(number), &self.people[number]).await)
    }

    /// Those whose socket is over come back.
    pub(crate) async fn reconnect(&mut self) {
        for number in 0..self.people.len() {
            if self.devices[number].is_over() {
                let device = self.open(number).await;
                let gone = std::mem::replace(&mut self.devices[number], device);
                let (user, node) = (&self.people[number].id, self.home(number));
                // Nobody knows how far it came.
                self.past.push(Heard::by(&gone, user, node, MustHave::Nothing));
            }
        }
    }

    /// Everybody sends through the socket, and the first of each node by REST as well.
    pub(crate) fn load(&mut self) -> Load {
        self.load_with_flood(None)
    }

    /// As [`Self::load`]. The last one of those at this node floods it, with this many messages unanswered.
    pub(crate) fn load_with_flood(&mut self, flood: Option<(usize, usize)>) -> Load {
        let number = self.people.len();
        let mut lanes = Vec::new();
        let flooder = flood.and_then(|(node, _)| self.homes.iter().rposition(|home| *home == node));
        for person in 0..number {
            let mut ways = vec![Way::Socket(self.devices[person].clone())];
            if person < self.parts.nodes.len() {
                ways.push(Way::Rest(self.home_url(person).into()));
            }
            for way in ways {
                self.lanes += 1;
                lanes.push(Lane {
                    number: self.lanes,
                    node: self.home(person),
                    person: self.people[person].clone(),
                    to: (1..=self.steps)
                        .map(|steps| self.people[(person + steps) % number].id.clone())
                        .collect(),
                    way,
                    window: match flood {
                        Some((_, window)) if flooder == Some(person) => window,
                        _ => WINDOW,
                    },
                });
            }
        }
        Load::start(lanes)
    }

    /// Who talks with whom, each pair once.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let number = self.people.len();
        let pairs = (0..number).flat_map(|one| (1..=self.steps).map(move |steps| (one, (one + steps) % number)));
        let unique: HashSet<_> = pairs.map(|(one, other)| (one.min(other), one.max(other))).collect();
        unique.into_iter().collect()
    }

    /// What was refused or not answered is sent again, and must now be stored, once.
    pub(crate) async fn send_again(&self, sent: &mut [Sent]) {
        let by_id: HashMap<&str, usize> = self
            .people
            .iter()
            .enumerate()
            .map(|(at, p)| (p.id.as_str(), at))
            .collect();
        let mut open: Vec<Vec<&mut Sent>> = self.people.iter().map(|_| Vec::new()).collect();
        for sent in sent.iter_mut().filter(|sent| sent.receipt().is_none()) {
            open[by_id[sent.from.as_str()]].push(sent);
        }
        let again = open.into_iter().enumerate().map(|(person, open)| async move {
            let mut open = open;
            for some in open.chunks_mut(WINDOW) {
                let ask = |sent: &&mut Sent| {
                    let body = json!({"to": sent.to, "content": sent.content, "clientMessageId": sent.content});
                    self.devices[person].ask("send_message", body)
                };
                let acks = join_all(some.iter().map(ask)).await;
                for (sent, ack) in some.iter_mut().zip(acks) {
                    sent.outcome = outcome_of_ack(&ack.expect("the socket ended"));
                    assert!(sent.receipt().is_some(), "still refused: {}", sent.content);
                    sent.retried = true;
                }
            }
        });
        join_all(again).await;
    }

    /// At every node exactly those are online who have a device. Measured from the given moment.
    pub(crate) async fn presence_is_right(&self, from: Instant) -> Duration {
        let mut longest = Duration::ZERO;
        for node in 0..self.parts.nodes.len() {
            longest = longest.max(self.presence_is_right_at(node, from).await);
        }
        longest
    }

    pub(crate) async fn presence_is_right_at(&self, node: usize, from: Instant) -> Duration {
        let here = self
            .devices
            .iter()
            .zip(&self.people)
            .filter(|(device, _)| !device.is_over());
        let guests = self.guests.iter().filter(|guest| guest.device.is_some());
        let mut here: Vec<&str> = here.map(|(_, person)| person.id.as_str()).collect();
        here.extend(guests.map(|guest| guest.person.id.as_str()));
        here.sort_unstable();
        loop {
            let online = self.people[0].online(self.parts.url(node)).await;
            if online == here {
                return from.elapsed();
            }
            assert!(
                from.elapsed() < PRESENT_WITHIN,
                "node {node} says {online:?}, here are {here:?}"
            );
        }
    }

    /// Judges all that is known, with what was sent now. What is neither acknowledged nor sent again may be kept or not.
    pub(crate) async fn judge(&mut self, sent: &[Sent], must_have: MustHave, when: &str) {
        if must_have != MustHave::Nothing {
            self.everything_has_come(sent, must_have).await;
        }
        let kept = self.record.sent.len();
        self.record.sent.extend_from_slice(sent);
        self.look().await;
        let mut heard = self.past.clone();
        for (number, node, device) in self.listeners() {
            let user = &self.people[number].id;
            // What is over was promised nothing: nobody knows how far it came.
            let must_have = if device.is_over() { MustHave::Nothing } else { must_have };
            heard.push(Heard::by(device, user, node, must_have));
        }
        self.record.heard = heard;
        self.record.must_hold(when);
        self.record.sent.truncate(kept);
    }

    /// As [`Self::judge`], for good.
    pub(crate) async fn judge_and_keep(&mut self, sent: Vec<Sent>, must_have: MustHave, when: &str) {
        self.judge(&sent, must_have, when).await;
        self.record.sent.extend(sent);
    }

    /// Waits until each device that lives has heard what it must; what does not come is the judge's to find.
    async fn everything_has_come(&self, sent: &[Sent], must_have: MustHave) {
        for (number, node, device) in self.listeners() {
            let user = &self.people[number].id;
            let concerns = |sent: &&Sent| sent.from == *user || sent.to == *user;
            let promised = |sent: &&Sent| must_have.includes(sent, node);
            let sent = sent.iter().filter(concerns).filter(promised);
            let expected: HashSet<&str> = sent
                .filter(|sent| sent.began >= device.since)
                .filter_map(|sent| Some(sent.receipt()?.id.as_str()))
                .collect();
            let all_came = |events: &[(String, Value)]| {
                let about = events
                    .iter()
                    .filter(|(name, _)| name == "new_message" || name == "message_sent");
                let ids: HashSet<&str> = about.filter_map(|(_, payload)| payload["messageId"].as_str()).collect();
                expected.is_subset(&ids).then_some(())
            };
            let _ = device.until(all_came).await;
        }
    }

    /// Every device: whose, at which node.
    fn listeners(&self) -> impl Iterator<Item = (usize, usize, &Device)> {
        let first = self.devices.iter().enumerate();
        let first = first.map(|(number, device)| (number, self.home(number), &**device));
        first.chain(
            self.watchers
                .iter()
                .map(|(number, node, device)| (*number, *node, device)),
        )
    }

    /// Reads every conversation of everybody at every node, from where it was read before.
    async fn look(&mut self) {
        let mut reads = Vec::new();
        for node in 0..self.parts.nodes.len() {
            for (one, other) in self.pairs() {
                for place in [(node, one, other), (node, other, one)] {
                    let known = self.read.remove(&place).unwrap_or_default();
                    reads.push((place, known));
                }
            }
        }
        let world = &*self;
        let read = futures_util::stream::iter(reads).map(|(place, known)| world.conversation(place, known));
        let read: Vec<_> = read.buffer_unordered(READS).collect().await;
        self.read.extend(read);
        self.record.views = self
            .read
            .iter()
            .map(|(place, messages)| self.view(*place, messages))
            .collect();
        let mut lists = Vec::new();
        for node in 0..self.parts.nodes.len() {
            for person in &self.people {
                let chats = person.list(self.parts.url(node), "/api/messages/chats").await;
                lists.push(List {
                    node,
                    user: person.id.clone(),
                    chats: chats.iter().map(Listed::of).collect(),
                });
            }
        }
        self.record.lists = lists;
    }

    fn view(&self, (node, reader, peer): (usize, usize, usize), messages: &[Kept]) -> View {
        View {
            node,
            reader: self.people[reader].id.clone(),
            peer: self.people[peer].id.clone(),
            after: 0,
            messages: messages.to_vec(),
        }
    }

    async fn conversation(
        &self,
        place: (usize, usize, usize),
        mut known: Vec<Kept>,
    ) -> ((usize, usize, usize), Vec<Kept>) {
        let (node, reader, peer) = place;
        loop {
            let after = known.last().map_or(0, |kept| kept.receipt.seq);
            let path = format!(
                "/api/messages/conversation/{}?after={after}&limit=100",
                self.people[peer].id
            );
            let page = self.people[reader].get(self.parts.url(node), &path).await;
            known.extend(page["items"].as_array().unwrap().iter().map(Kept::of));
            if page["nextCursor"].is_null() {
                return (place, known);
            }
        }
    }

    /// Reads everything anew, from the first message on, and judges it.
    pub(crate) async fn last_judgement(mut self, must_have: MustHave) {
        self.read.clear();
        self.judge(&[], must_have, "in the end").await;
        let (acknowledged, others) = self.record.count();
        println!("{acknowledged} messages acknowledged, {others} not");
        assert_eq!(others, 0, "everything was sent again");
    }

    /// How long it takes until messages between two guests at different nodes are heard, both ways.
    pub(crate) async fn guests_reach_each_other(&self, mark: &str) -> Duration {
        let began = Instant::now();
        let [one, other, ..] = self.guests.as_slice() else {
            panic!("two guests are needed");
        };
        tokio::join!(one.reaches(other, mark, began), other.reaches(one, mark, began));
        began.elapsed()
    }
}

impl Guest {
    fn device(&self) -> &Device {
        self.device.as_ref().unwrap()
    }

    /// Says it again and again until it is heard.
    async fn reaches(&self, other: &Self, mark: &str, began: Instant) {
        for number in 0.. {
            let message = json!({"to": other.person.id, "content": format!("{mark} {number}")});
            self.device().done("send_message", message).await;
            let says = |(name, payload): &(String, Value)| {
                let content = payload["content"].as_str().unwrap_or_default();
                name == "new_message" && payload["receiver"] == *other.person.id && content.starts_with(mark)
            };
            if other.device().events().iter().any(says) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{mark} is never heard");
        }
    }
}
