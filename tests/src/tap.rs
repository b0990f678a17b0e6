//! Somebody on the wire: passes bytes on, keeps what it has seen, and changes it as a test says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who has called.
    Caller,
    /// Who was called.
    Called,
}

/// What is done to the bytes of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bend {
    /// They pass as they are.
    Nothing,
    /// The byte at this place of what this side says becomes another one.
    Flip(Side, usize),
    /// Both ways end before that byte.
    Cut(Side, usize),
    /// The caller hears this, whatever it says, and nobody else hears the caller.
    Answer(Vec<u8>),
}

/// What both sides of one connection have said.
#[derive(Debug, Clone, Default)]
pub struct Flight {
    /// What the caller has said.
    pub caller: Vec<u8>,
    /// What the called one has said.
    pub called: Vec<u8>,
}

impl Flight {
    fn of(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Caller => &mut self.caller,
            Side::Called => &mut self.called,
        }
    }
}

/// See the module. It listens until the process ends.
#[derive(Debug, Clone)]
pub struct Tap {
    /// Where it listens.
    pub addr: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    target: SocketAddr,
    bend: Bend,
    flights: Vec<Flight>,
    open: Vec<TcpStream>,
}

impl Tap {
    /// Passes on to that address.
    pub fn on(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let addr = listener.local_addr().expect("bound");
        let inner = Inner { target, bend: Bend::Nothing, flights: Vec::new(), open: Vec::new() };
        let tap = Self { addr, inner: Arc::new(Mutex::new(inner)) };
        let taking = tap.clone();
        thread::spawn(move || {
            listener.incoming().map_while(Result::ok).for_each(|caller| taking.take(caller));
        });
        tap
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on to another address from now on.
    pub fn turn_to(&self, target: SocketAddr) {
        self.inner().target = target;
    }

    /// Changes what is said from now on.
    pub fn bend(&self, bend: Bend) {
        self.inner().bend = bend;
    }

    /// All that was said, a connection each.
    pub fn flights(&self) -> Vec<Flight> {
        self.inner().flights.clone()
    }

    /// Whether any side has ever said that.
    pub fn heard(&self, needle: &[u8]) -> bool {
        let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        self.inner().flights.iter().any(|flight| holds(&flight.caller) || holds(&flight.called))
    }

    /// Ends all connections.
    pub fn drop_all(&self) {
        for stream in self.inner().open.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn take(&self, caller: TcpStream) {
        let (target, bend) = {
            let inner = self.inner();
            (inner.target, inner.bend.clone())
        };
        if let Bend::Answer(bytes) = bend {
            thread::spawn(move || answer(caller, &bytes));
            return;
        }
        let Ok(other) = TcpStream::connect(target) else { return };
        let number = {
            let mut inner = self.inner();
            inner.flights.push(Flight::default());
            inner.open.extend([caller.try_clone().expect("a handle"), other.try_clone().expect("a handle")]);
            inner.flights.len() - 1
        };
        let back = (other.try_clone().expect("a handle"), caller.try_clone().expect("a handle"));
        for (side, (from, to)) in [(Side::Caller, (caller, other)), (Side::Called, back)] {
            let (tap, bend) = (self.clone(), bend.clone());
            thread::spawn(move || tap.carry(number, side, from, to, &bend));
        }
    }

    fn carry(&self, number: usize, side: Side, mut from: TcpStream, mut to: TcpStream, bend: &Bend) {
        let mut buffer = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &mut buffer[..count];
            let begun = {
                let mut inner = self.inner();
                let kept = inner.flights[number].of(side);
                kept.extend_from_slice(bytes);
                kept.len() - count
            };
            let here = |at: usize| at.checked_sub(begun).filter(|at| *at < count);
            match bend {
                Bend::Flip(whose, at) if *whose == side => {
                    if let Some(at) = here(*at) {
                        bytes[at] ^= 0x15;
                    }
                }
                Bend::Cut(whose, at) if *whose == side => {
                    if let Some(at) = here(*at) {
                        drop(to.write_all(&bytes[..at]));
                        drop(from.shutdown(Shutdown::Both));
                        drop(to.shutdown(Shutdown::Both));
                        return;
                    }
                }
                _ => {}
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    }
}

fn answer(mut caller: TcpStream, bytes: &[u8]) {
    drop(caller.write_all(bytes));
    drop(caller.shutdown(Shutdown::Write));
    drop(std::io::copy(&mut caller, &mut std::io::sink()));
}
