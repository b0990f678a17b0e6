//! Runs the fake daemon for trying the prompt by hand: `fake_daemon RUNTIME_DIR NAME`, then one act a line.

#[path = "mod.rs"]
mod fake;

use fake::Fake;
use proto::ipc::{EntryKind, Mode};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, runtime, name] = &args[..] else { panic!("fake_daemon RUNTIME_DIR NAME") };
    let mut daemon = Fake::start(runtime.as_ref(), name);
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["say", number, who, text] => {
                daemon.with(|world| world.says(number.parse().expect("number"), who, text));
            }
            ["flood", number, who, count] => {
                for index in 0..count.parse().expect("count") {
                    daemon.with(|world| {
                        world.says(number.parse().expect("number"), who, &format!("line {index}"));
                    });
                }
            }
            ["fork", who] => {
                daemon.with(|world| world.forked(who, Mode::B));
            }
            ["join", who] => daemon.with(|world| world.push(0, EntryKind::Joined, who, "")),
            ["leave", number, who] => {
                daemon.with(|world| world.peer_leaves(number.parse().expect("number"), who));
            }
            ["crash"] => {
                let world = daemon.crash();
                daemon = Fake::resume(runtime.as_ref(), name, world);
            }
            ["sizes", number] => daemon.with(|world| {
                let texts = world.texts(number.parse().expect("number"));
                println!("{:?}", texts.iter().map(|text| text.len()).collect::<Vec<_>>());
            }),
            _ => println!(
                "say N WHO TEXT | flood N WHO COUNT | fork WHO | join WHO | leave N WHO | crash | sizes N"
            ),
        }
    }
}
