//! My list goes out: from where the other side says it stands, as far as the window lets it.

use std::collections::VecDeque;

use proto::ids::{Chain, Epoch, EpochTag, Pos};
use proto::ipc::EntryKind;
use proto::limits::{MAX_PROBES, WINDOW_ENTRIES};
use proto::peer::{ByeCode, Content, InState, PeerMessage, Probe};
use proto::text::Text;
use rand::RngExt;

use super::{ConnId, Cx, Output, PeerSession, chain};
use crate::store::{OutRow, StoreError};

/// Most bytes of text that are on their way without an acknowledgement; one entry always may be.
const WINDOW_BYTES: usize = 1 << 20;
/// Entries read from the store at a time.
const READ_ENTRIES: u64 = 64;

/// How far my list has gone out on a connection.
#[derive(Debug)]
pub(super) enum Sending {
    /// Not yet known where to begin.
    Idle,
    /// Asked the other side where our histories part.
    Locating,
    /// Under way.
    Started {
        /// Position that goes out next.
        next: Pos,
        /// Acknowledged on this connection.
        acked: Pos,
        /// Bytes of each entry between the two.
        flying: VecDeque<usize>,
        /// Their sum.
        flying_bytes: usize,
        /// The next entry is too long for what the window has left: nothing to read before an acknowledgement.
        full: bool,
    },
}

impl PeerSession {
    /// My entries up to here have left: all that the active connection has taken, else what is acknowledged.
    pub(super) fn sent_to(&self) -> Pos {
        let link = self.active.and_then(|conn| self.links.get(&conn));
        match link.map(|link| &link.sending) {
            Some(Sending::Started { next, .. }) => next.prev().max(self.log.row.acked),
            _ => self.log.row.acked,
        }
    }

    /// The other side said what it has of my list.
    pub(super) fn resume(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        has: Option<InState>,
    ) -> Result<(), StoreError> {
        let Some(has) = has else {
            return self.start(cx, conn, Pos(1));
        };
        if has.next == Pos::START {
            self.drop_link(cx, conn, ByeCode::Protocol);
            return Ok(());
        }
        let mine = self.log.row.epoch;
        let vouched = self.vouches(cx, has.next.prev(), &has.chain)?;
        let known_numbering = has.epoch == mine && vouched;
        let older_numbering = has.epoch.n < mine.n;
        if !known_numbering && !older_numbering {
            // It has entries that I do not know under my numbering: I have lost them (a restored backup).
            if !self.rotate(cx, has.epoch.n, Some(conn))? {
                self.drop_link(cx, conn, ByeCode::Protocol);
                return Ok(());
            }
        }
        if vouched {
            self.acked_to(has.next.prev());
            return self.start(cx, conn, has.next);
        }
        let probes = self.probes(cx)?;
        if let Some(link) = self.links.get_mut(&conn) {
            link.sending = Sending::Locating;
            cx.outputs.push(Output::Send(conn, PeerMessage::Locate { probes }));
        }
        Ok(())
    }

    /// They told the last position that we share.
    pub(super) fn on_located(&mut self, cx: &mut Cx<'_>, conn: ConnId, pos: Pos) -> Result<(), StoreError> {
        let asked = self.links.get(&conn).is_some_and(|link| matches!(link.sending, Sending::Locating));
        if !asked || pos > self.log.out().0 {
            self.drop_link(cx, conn, ByeCode::Protocol);
            return Ok(());
        }
        self.acked_to(pos);
        self.start(cx, conn, pos.next())
    }

    fn start(&mut self, cx: &mut Cx<'_>, conn: ConnId, from: Pos) -> Result<(), StoreError> {
        let Some(chain) = self.out_chain(cx, from.prev())? else {
            self.drop_link(cx, conn, ByeCode::Protocol);
            return Ok(());
        };
        if let Some(link) = self.links.get_mut(&conn) {
            link.sending = Sending::Started {
                next: from,
                acked: from.prev(),
                flying: VecDeque::new(),
                flying_bytes: 0,
                full: false,
            };
            let epoch = self.log.row.epoch;
            cx.outputs.push(Output::Send(conn, PeerMessage::Start { epoch, from, chain }));
        }
        Ok(())
    }

    /// Sends what the window has room for, on the connection that counts.
    pub(super) fn pump(&mut self, cx: &mut Cx<'_>) -> Result<(), StoreError> {
        let Some(conn) = self.active else { return Ok(()) };
        let (id, head) = (self.log.id(), self.log.out().0);
        let Some(link) = self.links.get_mut(&conn) else { return Ok(()) };
        let Sending::Started { next, acked, flying, flying_bytes, full } = &mut link.sending else {
            return Ok(());
        };
        while *next <= head && !*full {
            let room = WINDOW_ENTRIES.saturating_sub(next.0 - 1 - acked.0).min(READ_ENTRIES);
            if room == 0 || *flying_bytes >= WINDOW_BYTES {
                break;
            }
            for row in cx.store.out_rows(id, *next, room)? {
                if *flying_bytes > 0 && *flying_bytes + row.text.len() > WINDOW_BYTES {
                    *full = true;
                    return Ok(());
                }
                flying.push_back(row.text.len());
                *flying_bytes += row.text.len();
                *next = row.pos.next();
                self.log.changed = true;
                cx.outputs.push(Output::Send(conn, data(row)?));
            }
        }
        Ok(())
    }

    /// They have everything before `next` on their disk.
    pub(super) fn on_ack(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        ack_next: Pos,
        chain: &Chain,
    ) -> Result<(), StoreError> {
        if !self.vouches(cx, ack_next.prev(), chain)? {
            // They vouch for entries that are not mine: never "delivered". Renumber and begin again.
            let n = self.log.row.epoch.n;
            self.rotate(cx, n, None)?;
            return Ok(());
        }
        let Some(link) = self.links.get_mut(&conn) else { return Ok(()) };
        if let Sending::Started { next, acked, flying, flying_bytes, full } = &mut link.sending {
            while *acked < ack_next.prev() && acked.next() < *next {
                *acked = acked.next();
                *flying_bytes -= flying.pop_front().unwrap_or(0);
                *full = false;
            }
        }
        self.acked_to(ack_next.prev());
        Ok(())
    }

    fn acked_to(&mut self, pos: Pos) {
        if pos > self.log.row.acked {
            self.log.row.acked = pos;
            // Losing it costs a retransmission that the other side drops.
            self.log.touch();
        }
    }

    /// Gives my list a new numbering. On disk before any frame shows it. `false`: there is no greater number.
    fn rotate(&mut self, cx: &mut Cx<'_>, over: u32, keep: Option<ConnId>) -> Result<bool, StoreError> {
        let Some(n) = self.log.row.epoch.n.max(over).checked_add(1) else {
            return Ok(false);
        };
        self.log.row.epoch = Epoch { n, r: EpochTag(cx.rng.random()) };
        self.log.row.acked = Pos::START;
        self.log.save(cx.store)?;
        self.drop_others(cx, keep, ByeCode::Conflict);
        Ok(true)
    }

    /// My chain at a position; `None` past the end.
    fn out_chain(&self, cx: &Cx<'_>, pos: Pos) -> Result<Option<Chain>, StoreError> {
        if pos == Pos::START {
            return Ok(Some(chain::start(&cx.me.key, &self.peer)));
        }
        cx.store.out_chain(self.log.id(), pos)
    }

    fn vouches(&self, cx: &Cx<'_>, pos: Pos, chain: &Chain) -> Result<bool, StoreError> {
        Ok(self.out_chain(cx, pos)?.as_ref() == Some(chain))
    }

    /// The end of my list and ever larger steps back from it.
    fn probes(&self, cx: &Cx<'_>) -> Result<Vec<Probe>, StoreError> {
        let head = self.log.out().0;
        let mut probes = Vec::new();
        let mut back = 0;
        while back < head.0 && probes.len() < MAX_PROBES {
            let pos = Pos(head.0 - back);
            if let Some(chain) = self.out_chain(cx, pos)? {
                probes.push(Probe { pos, chain });
            }
            back = if back == 0 { 1 } else { back * 2 };
        }
        Ok(probes)
    }
}

fn data(row: OutRow) -> Result<PeerMessage, StoreError> {
    let content = match row.kind {
        EntryKind::Opened => Content::Open,
        EntryKind::Closed => Content::Close { seen: row.seen.unwrap_or(Pos::START) },
        _ => Content::Text { text: Text::new(row.text).map_err(|_| StoreError::Broken("text"))? },
    };
    Ok(PeerMessage::Data { pos: row.pos, mid: row.mid, at: row.at, content })
}
