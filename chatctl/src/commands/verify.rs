//! `verify NAME`: the digits that two people compare, and `--ok` once they have.

use anstyle::{AnsiColor, Color, Style as Paint};
use proto::display;
use proto::ipc::{Call, Reply, Trust};
use proto::name::Name;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Serialize;

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::locate;
use crate::output::Output;
use crate::render::Style;

/// Digits in a group, and groups in a row.
const GROUP: usize = 5;
const ROW: usize = 4;

#[derive(Serialize)]
struct Verify<'a> {
    name: &'a str,
    fingerprint: &'a str,
    trust: Trust,
    code: &'a str,
}

pub(super) async fn show(global: &Global, name: Name) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    let reply = client.call(Call::Verify { name }).await?;
    match &reply {
        Reply::Code { name, fingerprint, trust, code } if output.json => {
            output.object(&Verify { name: name.as_str(), fingerprint, trust: *trust, code })
        }
        Reply::Code { .. } => output.line(&shown(&reply, output.style, output.style.width.is_some())),
        reply => Err(unexpected(reply)),
    }
}

pub(super) async fn confirm(global: &Global, name: Name) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    match client.call(Call::Verified { name: name.clone() }).await? {
        Reply::Done => Output::new(global).line(&done(&name)),
        reply => Err(unexpected(&reply)),
    }
}

/// The answer for a person; on a screen with a picture of the digits for a camera.
pub(crate) fn shown(reply: &Reply, style: Style, screen: bool) -> String {
    let Reply::Code { name, fingerprint, trust, code } = reply else { return String::new() };
    // The daemon's word is not trusted with the screen either.
    let code: String = code.chars().filter(char::is_ascii_digit).collect();
    let groups: Vec<&str> =
        (0..code.len()).step_by(GROUP).map(|at| &code[at..code.len().min(at + GROUP)]).collect();
    let mut rows = vec![style.notice(&format!("Code with {name}, key {}:", display::line(fingerprint)))];
    rows.extend(groups.chunks(ROW).map(|row| format!("    {}", row.join(" "))));
    rows.extend(screen.then(|| picture(&code, style)).flatten());
    let next = match trust {
        Trust::Verified => format!("You have compared it with {name} already"),
        _ => format!(
            "Does {name} see the same? Compare by another way, a call or in person; then: \\verify {name} ok"
        ),
    };
    rows.push(style.notice(&next));
    rows.join("\n")
}

/// What is said once a key is verified.
pub(crate) fn done(name: &Name) -> String {
    format!("{name} is verified: the key is the one you have compared")
}

/// The digits as a QR code; `None` where the screen is too narrow.
fn picture(code: &str, style: Style) -> Option<String> {
    let qr = QrCode::new(code).ok()?;
    let mut renderer = qr.render::<Dense1x2>();
    if !style.color {
        // Letters are light on most screens.
        renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    }
    let picture = renderer.build();
    let columns = picture.lines().map(|row| row.chars().count()).max()?;
    if style.width.is_some_and(|width| width < columns) {
        return None;
    }
    let ansi = |color| Some(Color::Ansi(color));
    let paint = if style.color {
        Paint::new().fg_color(ansi(AnsiColor::Black)).bg_color(ansi(AnsiColor::BrightWhite))
    } else {
        Paint::new()
    };
    let rows: Vec<String> = picture.lines().map(|row| format!("{paint}{row}{paint:#}")).collect();
    Some(rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::testing::name;

    fn reply(trust: Trust) -> Reply {
        let code = "0123456789".repeat(6);
        Reply::Code { name: name("bobby"), fingerprint: "SHA256:bobby".into(), trust, code }
    }

    #[test]
    fn the_digits_stand_in_three_rows_of_four_groups() {
        let rows = "    01234 56789 01234 56789";
        let text = shown(&reply(Trust::Pinned), Style::plain(), false);
        let expected = format!(
            ">>> Code with bobby, key SHA256:bobby:\n{rows}\n{rows}\n{rows}\n>>> Does bobby see the same? Compare by \
             another way, a call or in person; then: \\verify bobby ok"
        );
        assert_eq!(text, expected);
        assert!(shown(&reply(Trust::Verified), Style::plain(), false).ends_with("with bobby already"));
    }

    #[test]
    fn a_screen_that_is_wide_enough_shows_the_picture_too() {
        let rows = |width, color| {
            let style = Style { width: Some(width), color, times: true };
            shown(&reply(Trust::Pinned), style, true).lines().count()
        };
        let plain = shown(&reply(Trust::Pinned), Style::plain(), false).lines().count();
        assert!(rows(80, true) > 15 && rows(80, false) == rows(80, true));
        // The notices break into more rows, but there is no picture.
        assert!(rows(30, false) < plain + 6, "{}", rows(30, false));
    }
}
