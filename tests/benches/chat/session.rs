//! One session whose both ends are on this disk.

use std::time::{Duration, Instant};

use chat_tests::{Daemon, World};
use chatctl::client::{Client, Event};
use chatctl::repl::mid;
use proto::ids::Pos;
use proto::ipc::{Call, Reply, SessionRef};
use proto::name::Name;
use proto::text::Text;
use tokio::time::{MissedTickBehavior, interval};

use super::table::{Table, median, percentile};

/// Lines of the measurement of the rate.
const LINES: usize = 50_000;
/// Sends that are not answered yet at any time.
const PIPELINE: usize = 256;
/// Lines of the measurement of the latency, and how many of them in a second.
const PACED: usize = 300;
const PACE: u64 = 20;
/// Lines that wait for somebody who is away.
const QUEUED: usize = 10_000;

pub(crate) fn measure(world: &World, table: &mut Table) {
    let [anna, mut bobby] = ["anna", "bobby"].map(|name| {
        let daemon = Daemon::start(world, name);
        daemon.in_lobby();
        daemon
    });
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

    let begun = Instant::now();
    runtime.block_on(send(&anna, LINES));
    let accepted = begun.elapsed();
    runtime.block_on(flushed(&anna));
    let delivered = begun.elapsed();
    let rate = |time: Duration| format!("{:.0} lines/s", LINES as f64 / time.as_secs_f64());
    table.row("lines accepted from one client", rate(accepted), "");
    table.row("lines delivered through one session", rate(delivered), "over 10,000 lines/s");

    let mut times = runtime.block_on(paced(&anna));
    let target = table.flush() * 2 + Duration::from_millis(1);
    let target = format!("{:.2} ms (2 flushes + 1 ms)", super::table::ms(target));
    table.time("sent to delivered at 20 lines/s, p50", median(&mut times), target);
    table.time("sent to delivered at 20 lines/s, p99", percentile(&mut times, 99), "");

    bobby.kill();
    runtime.block_on(send(&anna, QUEUED));
    let begun = Instant::now();
    bobby.start_again();
    anna.connected_to("bobby");
    let connected = begun.elapsed();
    runtime.block_on(flushed(&anna));
    table.time(format!("{QUEUED} queued lines delivered, from the restart"), begun.elapsed(), "");
    table.time("of that until they are connected again", connected, "");
}

async fn client(daemon: &Daemon) -> Client {
    Client::connect(&daemon.socket()).await.expect("the daemon answers")
}

fn line(number: usize) -> Call {
    let text = format!(
        "line {number} of a conversation that is about as long as lines are when people talk to each other"
    );
    let session = SessionRef::Peer(Name::new("bobby").expect("a name"));
    Call::Send { session, mid: mid::fresh(), text: Text::new(text).expect("a text"), draft: None }
}

/// Sends so many lines, without waiting for each.
async fn send(from: &Daemon, count: usize) {
    let mut client = client(from).await;
    let (mut asked, mut answered) = (0, 0);
    while answered < count {
        while asked < count && asked < answered + PIPELINE {
            client.ask(line(asked)).expect("asked");
            asked += 1;
        }
        match client.next().await.expect("an answer") {
            Event::Reply(_, Reply::Sent { .. }) => answered += 1,
            event => panic!("not sent: {event:?}"),
        }
    }
}

/// Waits until the first session has nothing that is not on the other side's disk.
async fn flushed(daemon: &Daemon) {
    let mut client = client(daemon).await;
    client.call(Call::Watch).await.expect("it tells");
    loop {
        let Event::Changed(changes) = client.next().await.expect("it stays") else { continue };
        if changes.sessions.iter().any(|row| row.peer.is_some() && row.queued == 0) {
            return;
        }
    }
}

/// The time that each line takes from the question to the news that it is on the other side's disk.
async fn paced(from: &Daemon) -> Vec<Duration> {
    let mut client = client(from).await;
    client.call(Call::Watch).await.expect("it tells");
    let mut ticks = interval(Duration::from_millis(1000 / PACE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut times = Vec::new();
    for number in 0..PACED {
        ticks.tick().await;
        let begun = Instant::now();
        client.ask(line(number)).expect("asked");
        let mut sent = None;
        let mut delivered = Pos::START;
        while sent.is_none_or(|pos| pos > delivered) {
            match client.next().await.expect("it stays") {
                Event::Reply(_, Reply::Sent { pos, .. }) => sent = Some(pos),
                Event::Changed(changes) => {
                    let row = changes.sessions.iter().find(|row| row.peer.is_some());
                    delivered = row.map_or(delivered, |row| row.delivered);
                }
                event => panic!("not sent: {event:?}"),
            }
        }
        times.push(begun.elapsed());
    }
    times
}
