//! Their list comes in: in order, once, and acknowledged only when it is on this disk.

use proto::ids::{Chain, Epoch, Mid, Pos, WallMs};
use proto::ipc::EntryKind;
use proto::limits::MAX_PROBES;
use proto::peer::{ByeCode, Content, PeerMessage, Probe};
use proto::text::Words;
use rand::RngExt;

use super::{ConnId, Cx, Output, PeerSession, chain};
use crate::store::{Author, InRow, NewEntry, StoreError};

impl PeerSession {
    /// They ask where our histories part.
    pub(super) fn on_locate(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        probes: &[Probe],
    ) -> Result<(), StoreError> {
        let mut shared = Pos::START;
        for probe in probes.iter().take(MAX_PROBES) {
            if probe.pos > shared && self.in_chain(cx, probe.pos)? == Some(probe.chain) {
                shared = probe.pos;
            }
        }
        cx.outputs.push(Output::Send(conn, PeerMessage::Located { pos: shared }));
        Ok(())
    }

    /// What follows on this connection is numbered in `epoch` and begins at `from`.
    pub(super) fn on_start(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        epoch: Epoch,
        from: Pos,
        chain: &Chain,
    ) -> Result<(), StoreError> {
        let shared = from > Pos::START && self.in_chain(cx, from.prev())?.as_ref() == Some(chain);
        let mine = self.log.row.in_epoch;
        // Who has no entry adopts any numbering: there is nothing that it could contradict.
        let newer =
            mine.is_none_or(|mine| mine.n < epoch.n) || (self.inbound.is_none() && mine != Some(epoch));
        if self.links.get(&conn).is_some_and(|link| link.expects.is_some()) {
            self.drop_link(cx, conn, ByeCode::Protocol);
            return Ok(());
        }
        if !shared || !(newer || mine == Some(epoch)) {
            // An honest race: the next hello sorts it out.
            self.drop_link(cx, conn, ByeCode::Conflict);
            return Ok(());
        }
        if newer {
            self.adopt(cx, conn, epoch, from)?;
        }
        if let Some(link) = self.links.get_mut(&conn) {
            link.expects = Some(from);
        }
        Ok(())
    }

    /// Takes over their new numbering: what we share stays, the rest of the old one is no position any more.
    fn adopt(&mut self, cx: &mut Cx<'_>, conn: ConnId, epoch: Epoch, from: Pos) -> Result<(), StoreError> {
        let hanging = self.in_pos().0.saturating_sub(from.prev().0);
        if hanging > 0 {
            cx.store.cut_in(self.log.id(), from.prev())?;
            self.inbound = cx.store.in_head(self.log.id())?;
            let mid = Mid::from_parts(cx.now.wall, cx.rng.random());
            let text = format!("The daemon of {} came back from an older state", self.name());
            self.log.notice(cx.store, mid, cx.now.wall, text)?;
        }
        self.log.row.in_epoch = Some(epoch);
        self.log.save(cx.store)?;
        self.drop_others(cx, Some(conn), ByeCode::Conflict);
        Ok(())
    }

    /// One entry of their list.
    pub(super) fn on_data(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        pos: Pos,
        mid: Mid,
        at: WallMs,
        content: Content,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&conn) else { return Ok(()) };
        if link.expects != Some(pos) {
            self.drop_link(cx, conn, ByeCode::Protocol);
            return Ok(());
        }
        link.expects = Some(pos.next());
        self.ack_due = Some(conn);
        let next = self.in_pos().next();
        if pos == next && !self.has_room_for(&content) {
            self.turn_away(cx, conn);
            return Ok(());
        }
        if pos == next {
            return self.take(cx, pos, mid, at, content);
        }
        let same = cx.store.in_at(self.log.id(), pos)?.is_some_and(|row| row.mid == mid);
        if !same {
            // Dropping it would lose or reorder; the next hello shows them that their list was forked.
            self.drop_link(cx, conn, ByeCode::Conflict);
        }
        Ok(())
    }

    fn take(
        &mut self,
        cx: &mut Cx<'_>,
        pos: Pos,
        mid: Mid,
        at: WallMs,
        content: Content,
    ) -> Result<(), StoreError> {
        let (kind, text, seen) = match content {
            Content::Open => (EntryKind::Opened, Words::default(), Pos::START),
            Content::Text { text } => (EntryKind::Text, text.into(), Pos::START),
            Content::Close { seen } => (EntryKind::Closed, Words::default(), seen),
        };
        let before = self.in_chain(cx, pos.prev())?.ok_or(StoreError::Broken("list of positions"))?;
        let chain = chain::extend(&before, mid, kind, at, &text, seen);
        // The id decides whether the entry is new, the position only where it stands in their list.
        let known = cx.store.find(self.log.id(), &self.peer, mid)?;
        let seq = if let Some(seq) = known {
            seq
        } else {
            let author = Author::Person(self.peer, self.name().clone());
            let seen = (kind == EntryKind::Closed).then_some(seen);
            self.log.append_other(cx.store, &NewEntry { author, mid, kind, at, text, seen })?
        };
        let row = InRow { pos, seq, mid, chain };
        cx.store.push_in(self.log.id(), row)?;
        self.inbound = Some(row);
        if known.is_none() { self.fold_theirs(cx, kind, pos, seen) } else { Ok(()) }
    }

    /// Acknowledges what this step has taken; goes out after its commit.
    pub(super) fn acknowledge(&mut self, cx: &mut Cx<'_>) {
        let Some(conn) = self.ack_due.take() else { return };
        if let Some(row) = self.inbound.filter(|_| self.links.contains_key(&conn)) {
            let ack = PeerMessage::Ack { next: row.pos.next(), chain: row.chain };
            cx.outputs.push(Output::Send(conn, ack));
        }
    }

    /// The chain of their list at a position, as I have it; `None` past the end.
    fn in_chain(&self, cx: &Cx<'_>, pos: Pos) -> Result<Option<Chain>, StoreError> {
        if pos == Pos::START {
            return Ok(Some(chain::start(&self.peer, &cx.me.key)));
        }
        Ok(cx.store.in_at(self.log.id(), pos)?.map(|row| row.chain))
    }
}
