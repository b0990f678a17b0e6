//! A daemon with a long history.

use std::time::{Duration, Instant};

use chat_tests::{Daemon, World};
use chatctl::client::Client;
use chatd::session::Log;
use chatd::store::{Author, LogId, NewEntry, Store};
use proto::ids::{Key, Mid, Seq, WallMs};
use proto::ipc::{Call, EntryKind, Range, Reader, Reply, SessionRef};
use proto::name::Name;
use proto::text::Words;

use super::table::{Table, median, percentile};

/// Each measurement is made so often.
const TIMES: usize = 20;
/// Lines in one commit while the history is made.
const COMMIT: u64 = 5_000;
/// The words of the history: the first ones come often, the last ones hardly ever.
const WORDS: u64 = 40_000;
/// What is searched for, and what it stands for.
const SEARCHES: [(&str, &str); 7] = [
    ("w0", "a word of every other line"),
    ("w39999", "a rare word"),
    ("w0 w1 w2", "three common words"),
    ("w0 w39998", "a common and a rare word"),
    ("w12", "the beginning of many words"),
    ("nobody", "a word that nobody said"),
    ("w1-w2", "two words with a sign between them, never said"),
];

pub(crate) fn measure(world: &World, table: &mut Table) {
    let lines = std::env::var("CHAT_LINES").ok().and_then(|lines| lines.parse().ok()).unwrap_or(1_000_000);
    let [mut carol, dave] = ["carol", "dave"].map(|name| {
        let daemon = Daemon::start(world, name);
        daemon.in_lobby();
        daemon
    });
    carol.ctl().ok(&["fork", "dave"]);
    carol.connected_to("dave");
    let path = carol.house().data.join("carol").join("history.db");
    carol.terminate();
    let begun = Instant::now();
    fill(&path, lines);
    let each = begun.elapsed() / u32::try_from(lines).expect("not that many");
    table.row(format!("history with {lines} lines: each line written"), format!("{each:.1?}"), "");
    table.row(
        "its size on the disk",
        format!("{} MiB", std::fs::metadata(&path).expect("a file").len() >> 20),
        "",
    );

    let mut starts = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        carol.start_again();
        starts.push(begun.elapsed());
        carol.terminate();
    }
    carol.start_again();
    table.time("start until ready, p50", median(&mut starts), "under 100 ms");
    carol.connected_to("dave");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(read(&carol, table, lines));
    runtime.block_on(search(&carol, table));
    table.row("memory of the daemon after all that", resident(&carol), "under 30 MiB");
    drop(dave);
}

/// Writes the lines of the other side into the first session, all of them unread.
fn fill(path: &std::path::Path, lines: u64) {
    let mut store = Store::open(path).expect("the history");
    let row = store.logs().expect("logs").into_iter().find(|row| row.id != LogId::LOBBY).expect("a session");
    let (key, name) = row.peer.clone().expect("a peer");
    let mut log = Log::load(row, Key([0; Key::LEN]), &store).expect("loads");
    let mut chance = Chance(88_172_645_463_325_252);
    for number in 1..=lines {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number.to_be_bytes());
        let entry = NewEntry {
            author: Author::Person(key, name.clone()),
            mid: Mid::from_parts(WallMs(number), random),
            kind: EntryKind::Text,
            at: WallMs(number),
            text: chance.line().into(),
            seen: None,
        };
        log.append_other(&mut store, &entry).expect("appends");
        if number % COMMIT == 0 || number == lines {
            log.save(&mut store).expect("saves");
            store.commit().expect("commits");
        }
    }
}

/// The same lines in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Six to thirteen words.
    fn line(&mut self) -> String {
        let count = 6 + self.next() % 8;
        let words: Vec<String> = (0..count).map(|_| format!("w{}", self.word())).collect();
        words.join(" ")
    }

    /// As in a language: a word is the rarer the higher its number is.
    fn word(&mut self) -> u64 {
        let share = (self.next() % 1_000_000) as f64 / 1_000_000.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and WORDS")]
        let word = ((WORDS as f64).powf(share) - 1.0) as u64;
        word
    }
}

fn dave() -> SessionRef {
    SessionRef::Peer(Name::new("dave").expect("a name"))
}

async fn connect(daemon: &Daemon) -> Client {
    Client::connect(&daemon.socket()).await.expect("the daemon answers")
}

async fn page(client: &mut Client, range: Range, limit: u32) -> Seq {
    match client.call(Call::Read { session: dave(), range, limit }).await.expect("a page") {
        Reply::Entries { entries, .. } => entries.last().expect("not empty").seq,
        reply => panic!("no page: {reply:?}"),
    }
}

async fn read(daemon: &Daemon, table: &mut Table, lines: u64) {
    let (mut attached, mut paged, mut marked) = (Vec::new(), Vec::new(), Vec::new());
    let mut chance = Chance(1);
    for round in 1..=TIMES as u64 {
        let begun = Instant::now();
        let mut client = connect(daemon).await;
        client.call(Call::Watch).await.expect("it tells");
        client.state().await.expect("rows");
        page(&mut client, Range::Before(Seq::END), 256).await;
        attached.push(begun.elapsed());
        let begun = Instant::now();
        let last = page(&mut client, Range::After(Seq(chance.next() % lines)), 256).await;
        paged.push(begun.elapsed());
        assert!(last.0 > 0);
        let begun = Instant::now();
        let call = Call::Mark { reader: Reader::Person, session: dave(), seq: Seq(round * 256) };
        client.call(call).await.expect("marked");
        marked.push(begun.elapsed());
    }
    table.time("attach: link, rows and the first page, p50", median(&mut attached), "under 50 ms");
    table.time("attach, slowest", percentile(&mut attached, 100), "");
    table.time("a page from anywhere, p50", median(&mut paged), "");
    table.time("a page read among many unread, p50", median(&mut marked), "");
    let begun = Instant::now();
    daemon.ctl().ok(&["history", "dave", "--limit", "50"]);
    table.time("chatctl history, the whole command", begun.elapsed(), "");
}

async fn search(daemon: &Daemon, table: &mut Table) {
    let mut client = connect(daemon).await;
    for (words, what) in SEARCHES {
        let mut times: Vec<Duration> = Vec::new();
        let mut found = 0;
        for _ in 0..TIMES {
            let begun = Instant::now();
            match client
                .call(Call::Search { words: Words(words.to_owned()), limit: 50 })
                .await
                .expect("an answer")
            {
                Reply::Found { hits, .. } => found = hits.len(),
                reply => panic!("no hits: {reply:?}"),
            }
            times.push(begun.elapsed());
        }
        table.time(format!("search, {found} hits: {what}"), percentile(&mut times, 50), "under 50 ms");
    }
}

/// What the daemon's process holds in memory.
fn resident(daemon: &Daemon) -> String {
    let pid = daemon.until("its process", |state| Some(state.daemon.as_ref()?.pid));
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or("unknown".to_owned(), |kib| format!("{} MiB", kib >> 10))
}
