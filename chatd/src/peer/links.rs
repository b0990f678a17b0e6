//! The connections of a session, and which of them counts.
//!
//! Safety does not depend on this: two live connections are harmless, since positions and ids tell what is new.
//! Both ends must come to keep the same one, or they would close each other's for ever; the rules are those of
//! `proto/PROTOCOL.md`, "Which connection counts", and were checked as a model over all interleavings.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto::hello::Versions;
use proto::ids::{Instance, Pos};
use proto::peer::{ByeCode, DialId, Hello, InState, OutState, PeerMessage};

use super::send::Sending;
use super::session::REFUSED;
use super::{ConnId, Cx, Output, PeerSession};
use crate::store::StoreError;

/// How long both sides rest when the peer's key is in use on two machines.
const TORN_WAIT_MS: u64 = 60_000;

/// One connection of a session.
#[derive(Debug)]
pub(super) struct Link {
    /// This side dialled it.
    pub(super) mine: bool,
    /// The dialler's number for it.
    pub(super) dial_no: u64,
    /// The run of the peer that speaks on it; `None` before its hello.
    pub(super) instance: Option<Instance>,
    /// How far my list has gone out on it.
    pub(super) sending: Sending,
    /// Position that their next entry must have; `None` before their start.
    pub(super) expects: Option<Pos>,
}

/// What the peer said last of its connections.
#[derive(Debug)]
pub(super) struct Latest {
    instance: Instance,
    hello_no: u64,
    last_dialed: u64,
    seen_dial: u64,
    open: Vec<DialId>,
}

impl Latest {
    fn of(hello: &Hello) -> Self {
        Self {
            instance: hello.instance,
            hello_no: hello.hello_no,
            last_dialed: hello.last_dialed,
            seen_dial: hello.seen_dial,
            open: hello.open.clone(),
        }
    }

    /// The peer knew this connection and holds it no more.
    fn gave_up(&self, link: &Link) -> bool {
        let known = if link.mine { self.seen_dial } else { self.last_dialed };
        let id = DialId { mine: !link.mine, dial_no: link.dial_no };
        link.dial_no <= known && !self.open.contains(&id)
    }
}

impl PeerSession {
    /// A dial succeeded: the key of the other end is the peer's.
    pub fn on_dialed(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        dial_no: u64,
        addr: SocketAddr,
    ) -> Result<(), StoreError> {
        self.dial_done();
        self.learn(cx, &[addr])?;
        self.links.insert(conn, Link::new(true, dial_no));
        self.greet(cx, conn, dial_no);
        Ok(())
    }

    /// Somebody with the peer's key has dialled us and said hello.
    pub fn on_accepted(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        from: IpAddr,
        hello: &Hello,
    ) -> Result<(), StoreError> {
        self.links.insert(conn, Link::new(false, hello.dial_no));
        self.seen_dial = self.seen_dial.max(hello.dial_no);
        if hello.port != 0 {
            self.learn(cx, &[SocketAddr::new(from, hello.port)])?;
        }
        self.note(cx, conn, hello);
        self.greet(cx, conn, 0);
        self.settle(cx, conn, hello)
    }

    /// A message came on a connection.
    pub fn on_message(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        message: PeerMessage,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get(&conn) else {
            return Ok(()); // closed by us, its last bytes were under way
        };
        match message {
            PeerMessage::Hello(hello) if link.mine && link.instance.is_none() => {
                self.note(cx, conn, &hello);
                self.settle(cx, conn, &hello)
            }
            PeerMessage::Bye { code, retry_after_ms } => {
                self.on_bye(cx, conn, code, Duration::from_millis(retry_after_ms));
                Ok(())
            }
            PeerMessage::Unknown | PeerMessage::Ping { .. } | PeerMessage::Pong { .. } => Ok(()),
            _ if link.instance.is_none() => {
                self.drop_link(cx, conn, ByeCode::Protocol);
                Ok(())
            }
            PeerMessage::Hello(_) => {
                self.drop_link(cx, conn, ByeCode::Protocol);
                Ok(())
            }
            PeerMessage::Accepted => {
                self.told_of_consent(false);
                Ok(())
            }
            PeerMessage::Locate { probes } => self.on_locate(cx, conn, &probes),
            PeerMessage::Located { pos } => self.on_located(cx, conn, pos),
            PeerMessage::Start { epoch, from, chain } => self.on_start(cx, conn, epoch, from, &chain),
            PeerMessage::Data { pos, mid, at, content } => self.on_data(cx, conn, pos, mid, at, content),
            PeerMessage::Ack { next, chain } => self.on_ack(cx, conn, next, &chain),
        }
    }

    /// A connection is gone.
    pub fn on_lost(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        self.forget(cx, conn);
    }

    fn greet(&mut self, cx: &mut Cx<'_>, conn: ConnId, dial_no: u64) {
        self.hello_no += 1;
        let (head, chain) = self.log.out();
        let inbound = self.inbound.zip(self.log.row.in_epoch);
        let hello = Hello {
            versions: Versions::OURS,
            features: Vec::new(),
            name: cx.me.name.clone(),
            instance: cx.me.instance,
            port: cx.me.port,
            dial_no,
            last_dialed: self.log.row.last_dialed,
            seen_dial: self.seen_dial,
            open: self.links.values().map(|link| DialId { mine: link.mine, dial_no: link.dial_no }).collect(),
            hello_no: self.hello_no,
            held: self.is_held(),
            out: OutState { epoch: self.log.row.epoch, head, chain },
            inbound: inbound.map(|(row, epoch)| InState { epoch, next: row.pos.next(), chain: row.chain }),
        };
        cx.outputs.push(Output::Send(conn, PeerMessage::Hello(Box::new(hello))));
    }

    fn note(&mut self, cx: &Cx<'_>, conn: ConnId, hello: &Hello) {
        self.instances.seen(cx.now.mono, hello.instance);
        self.claim = Some(hello.name.clone());
        self.told_of_consent(hello.held);
        if let Some(link) = self.links.get_mut(&conn) {
            link.instance = Some(hello.instance);
        }
        let newer = self
            .latest
            .as_ref()
            .is_none_or(|latest| latest.instance != hello.instance || latest.hello_no < hello.hello_no);
        if newer {
            self.latest = Some(Latest::of(hello));
        }
    }

    /// Both hellos are exchanged on `conn`: does it carry the session, or does the one that does stay?
    fn settle(&mut self, cx: &mut Cx<'_>, conn: ConnId, hello: &Hello) -> Result<(), StoreError> {
        if self.instances.is_torn(cx.now.mono) {
            let bye = PeerMessage::Bye { code: ByeCode::Busy, retry_after_ms: TORN_WAIT_MS };
            cx.outputs.extend([Output::Send(conn, bye), Output::Close(conn)]);
            self.forget(cx, conn);
            let wait = Duration::from_millis(TORN_WAIT_MS);
            self.hold_off(cx, "the peer's key is in use on two machines: one of them must stop", wait);
            return Ok(());
        }
        if let Some(active) = self.active.filter(|active| *active != conn) {
            if !self.wins(cx, conn, active) {
                self.drop_link(cx, conn, ByeCode::Superseded);
                return Ok(());
            }
            self.active = None;
            self.drop_link(cx, active, ByeCode::Superseded);
        }
        self.active = Some(conn);
        self.came_up(cx);
        self.resume(cx, conn, hello.inbound)
    }

    fn wins(&self, cx: &Cx<'_>, new: ConnId, old: ConnId) -> bool {
        let (Some(new), Some(old)) = (self.links.get(&new), self.links.get(&old)) else {
            return true;
        };
        if new.instance != old.instance {
            return true;
        }
        if let Some(latest) = &self.latest {
            if latest.gave_up(new) {
                return false;
            }
            if latest.gave_up(old) {
                return true;
            }
        }
        if new.mine == old.mine {
            return new.dial_no > old.dial_no;
        }
        // The connection dialled by the greater key stays.
        new.mine == (cx.me.key > self.peer)
    }

    fn on_bye(&mut self, cx: &mut Cx<'_>, conn: ConnId, code: ByeCode, retry_after: Duration) {
        let reason = match code {
            ByeCode::Superseded | ByeCode::Conflict | ByeCode::Done | ByeCode::Quit => None,
            ByeCode::Busy => Some("the other daemon is busy"),
            ByeCode::Version => {
                Some("the other daemon speaks another version of the protocol: update the older one")
            }
            ByeCode::Refused => Some(REFUSED),
            ByeCode::Protocol | ByeCode::Other => Some("the other daemon ended the connection"),
        };
        self.forget(cx, conn);
        cx.outputs.push(Output::Close(conn));
        if let Some(reason) = reason.filter(|_| self.links.is_empty()) {
            self.hold_off(cx, reason, retry_after);
            if code == ByeCode::Refused {
                self.was_refused();
            }
        }
    }

    /// Says why and ends a connection.
    pub(super) fn drop_link(&mut self, cx: &mut Cx<'_>, conn: ConnId, code: ByeCode) {
        cx.outputs.push(Output::Send(conn, PeerMessage::Bye { code, retry_after_ms: 0 }));
        cx.outputs.push(Output::Close(conn));
        self.forget(cx, conn);
        if code == ByeCode::Protocol {
            self.hold_off(cx, "the other daemon broke the rules of the protocol", Duration::ZERO);
        }
    }

    /// Ends every connection but one.
    pub(super) fn drop_others(&mut self, cx: &mut Cx<'_>, keep: Option<ConnId>, code: ByeCode) {
        let others: Vec<_> = self.links.keys().copied().filter(|conn| Some(*conn) != keep).collect();
        for conn in others {
            self.drop_link(cx, conn, code);
        }
    }

    pub(super) fn forget(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        if self.links.remove(&conn).is_none() {
            return;
        }
        if self.ack_due == Some(conn) {
            self.ack_due = None;
        }
        if self.active == Some(conn) {
            self.active = None;
        }
        if self.links.is_empty() {
            self.went_down(cx);
        }
    }

    /// The dialler hangs up once the session has ended and all of its list is delivered. The other side may still
    /// have entries under way; it then dials by itself.
    pub(super) fn close_when_done(&mut self, cx: &mut Cx<'_>) {
        if self.is_open() || !self.is_flushed() {
            return;
        }
        let Some(conn) = self.active else { return };
        if self.links.get(&conn).is_some_and(|link| link.mine && link.is_resumed()) {
            self.drop_link(cx, conn, ByeCode::Done);
        }
    }
}

impl Link {
    fn new(mine: bool, dial_no: u64) -> Self {
        Self { mine, dial_no, instance: None, sending: Sending::Idle, expects: None }
    }

    /// Both directions go on from where they were.
    fn is_resumed(&self) -> bool {
        matches!(self.sending, Sending::Started { .. }) && self.expects.is_some()
    }
}
