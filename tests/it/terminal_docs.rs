//! The frames of docs/terminal.md are what the dashboard draws.

use pgq_host_tests::Screen;

use crate::terminal::shop;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/terminal.md");

/// A frame without what differs from one time to the next: numbers, times with their units, and charts.
fn shape(frame: &str) -> String {
    let is_chart = |c: char| ('\u{2581}'..='\u{2588}').contains(&c);
    let is_unit =
        |word: &str| matches!(word, "s" | "ms" | "\u{b5}s" | "min" | "h" | "d" | "ago" | "in" | "now" | "|" | ".");
    let line = |line: &str| {
        let words = line.split_whitespace().filter(|word| !word.contains(is_chart) && !is_unit(word));
        let mut shape: Vec<String> = words
            .map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#".into() } else { word.to_owned() })
            .collect();
        shape.dedup();
        shape.join(" ")
    };
    frame.lines().map(line).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// The name of the test's database and its server, which the first line ends with, as others have it.
fn neutral(frame: &str, database: &str) -> String {
    let first = |line: &str| match line.find(database) {
        Some(at) => {
            let wide = line.chars().count();
            format!("{}{:>rest$}", &line[..at], "jobs at db-host", rest = wide - line[..at].chars().count())
        }
        None => line.to_owned(),
    };
    let lines: Vec<String> = frame.lines().map(first).collect();
    lines.join("\n").trim_end().to_owned()
}

/// The frame with this text, once all of it is drawn.
async fn whole(screen: &Screen, there: &str) -> String {
    let mut frame = screen.wait_for(there).await;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let later = screen.text();
        if later == frame {
            return frame;
        }
        frame = later;
    }
}

#[tokio::test]
async fn the_frames_of_the_page_are_what_is_drawn() {
    let database = shop().await;
    let dsn = database.dsn();
    let name = dsn.rsplit_once('/').unwrap().1.split('?').next().unwrap().to_owned();
    let args = ["dashboard", "--author", "anna"];
    let mut screen = Screen::open(&dsn, &args, &[], (80, 24)).await;
    let mut frames: Vec<String> = Vec::new();
    for (keys, there) in [
        ("", "Ended/min"),
        ("2", "10 jobs"),
        ("/status=failed\r", "4 jobs"),
        ("\r", "Runs, the newest first"),
        ("3", "2 causes"),
        ("4", "2 versions"),
        ("5", "1 host"),
        ("6", "1 schedule"),
        ("3", "2 causes"),
        ("r", "Requeue 3 jobs?"),
    ] {
        screen.press(keys).await;
        let frame = whole(&screen, there).await;
        if !["4 jobs"].contains(&there) {
            frames.push(neutral(&frame, &name));
        }
    }
    // The second look at the failures was the way to the question.
    frames.remove(7);
    let mut large = Screen::open(&dsn, &args, &[], (200, 60)).await;
    frames.push(neutral(&whole(&large, "Ended/min").await, &name));
    large.press("q").await;
    let page = std::fs::read_to_string(PAGE).expect("the page");
    let mut parts: Vec<String> = page.split("```text\n").map(str::to_owned).collect();
    // Behind the question, there is a line that no frame is.
    let places: Vec<usize> = (1..parts.len()).filter(|place| !parts[*place].starts_with("NO ANSWER")).collect();
    assert_eq!(places.len(), frames.len());
    let update = std::env::var_os("PGQ_UPDATE_SNAPSHOTS").is_some();
    for (place, frame) in places.into_iter().zip(&frames) {
        let (kept, rest) = parts[place].split_once("```").expect("the end of a frame");
        if shape(kept) == shape(frame) {
            continue;
        }
        assert!(
            update,
            "docs/terminal.md has\n{}\n\nand is drawn\n{}\n\nIf that is meant, run this test with PGQ_UPDATE_SNAPSHOTS=1",
            shape(kept),
            shape(frame)
        );
        parts[place] = format!("{frame}\n```{rest}");
    }
    if update {
        std::fs::write(PAGE, parts.join("```text\n")).expect("written");
    }
}
