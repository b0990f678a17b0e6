//! A daemon that is only as real as a client can see: it speaks the client's wire over a socket in a temporary
//! folder and keeps everything in memory. What others do, the test does through [`Fake`].

#![allow(dead_code, reason = "each test program uses its own part of the helper")]

mod link;
mod world;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::{GenericFilePath, ListenerOptions};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub(crate) use world::World;

/// A running fake; it ends, links and all, when it is dropped.
pub(crate) struct Fake {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

pub(crate) struct Shared {
    world: Mutex<World>,
    version: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let done = act(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner));
        self.version.send_modify(|version| *version += 1);
        done
    }

    fn peek<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Fake {
    /// Listens at `runtime/NAME.sock`.
    pub(crate) fn start(runtime: &Path, name: &str) -> Self {
        Self::resume(runtime, name, World::new(name))
    }

    /// Listens again with what another one knew.
    pub(crate) fn resume(runtime: &Path, name: &str, world: World) -> Self {
        std::fs::create_dir_all(runtime).expect("runtime folder");
        let path = runtime.join(format!("{name}.sock"));
        let shared = Arc::new(Shared { world: Mutex::new(world), version: watch::channel(0).0 });
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = std::sync::mpsc::channel();
        let serving = shared.clone();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(async {
                let name = path.to_fs_name::<GenericFilePath>().expect("socket name");
                let listener =
                    ListenerOptions::new().name(name).try_overwrite(true).create_tokio().expect("listens");
                ready.send(()).expect("somebody waits");
                let mut links = JoinSet::new();
                let accept = async {
                    loop {
                        let stream = listener.accept().await.expect("accepts");
                        links.spawn(link::serve(stream, serving.clone()));
                    }
                };
                tokio::select! { () = accept => {}, _ = stopped => {} }
            });
        });
        listening.recv().expect("listening");
        Self { shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Does something that the daemon or others do; clients that watch are told.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.shared.with(act)
    }

    /// Ends like a crash, all links at once; gives what it knew.
    pub(crate) fn crash(mut self) -> World {
        self.end();
        self.shared.peek(World::clone)
    }

    /// Waits until a look at the world gives something.
    pub(crate) fn wait_for<T>(&self, what: &str, look: impl Fn(&World) -> Option<T>) -> T {
        let mut changed = self.shared.version.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let wait = async {
                loop {
                    changed.borrow_and_update();
                    if let Some(found) = self.shared.peek(&look) {
                        return found;
                    }
                    changed.changed().await.expect("the fake lives");
                }
            };
            let limit = std::time::Duration::from_secs(20);
            tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
        })
    }

    fn end(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the fake did not panic");
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end();
    }
}
