//! Makes a small JPEG of a photograph: CPU work on bytes that nobody has vetted.

mod picture;

use pgq_plugin_sdk::prelude::*;

use crate::picture::Size;

/// The box that the thumbnail must fit, where the job does not say.
const DEFAULT_EDGE: u32 = 256;

/// No thumbnail is larger; who needs more does not want a thumbnail.
const MAX_EDGE: u32 = 2048;

fn thumbnail(job: &Job, Bytes(photo): Bytes) -> Result<Outcome> {
    let fit = Size { width: edge(job, "width")?, height: edge(job, "height")? };
    // A picture that cannot be decoded now cannot be decoded in a minute either.
    let photo = picture::decode(&photo).or_reject()?;
    let original = photo.size();
    let small = photo.shrink(fit);
    let jpeg = small.to_jpeg()?;

    log::info!(from = original, to = small.size(), bytes = jpeg.len(), "made a thumbnail");
    Ok(Outcome::output(jpeg))
}

/// A header with a number of pixels.
fn edge(job: &Job, header: &str) -> Result<u32> {
    let Some(text) = job.header(header) else {
        return Ok(DEFAULT_EDGE);
    };
    match text.parse() {
        Ok(pixels @ 1..=MAX_EDGE) => Ok(pixels),
        _ => Err(Failure::reject(format!("header `{header}` must be 1 to {MAX_EDGE} pixels, not `{text}`"))),
    }
}

fn plugin() -> Plugin {
    Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).entrypoint(
        Entrypoint::new("thumbnail", thumbnail)
            // It depends on nothing but its input: only a host in trouble is worth another try.
            .max_attempts(3)
            .timeout(Duration::from_secs(30))
            // A progressive JPEG needs three times its pixels while it is decoded.
            .memory(4 * picture::MAX_DECODED),
    )
}

pgq_plugin_sdk::export!(plugin);

#[cfg(test)]
mod tests {
    use pgq_plugin_sdk::testing::{TestJob, TestRun};

    use super::*;

    const ROCKET: &[u8] = include_bytes!("../samples/rocket.jpg");
    const CAMERA: &[u8] = include_bytes!("../samples/camera.png");

    fn run(job: TestJob) -> TestRun {
        TestRun::of(&plugin(), job)
    }

    fn size_of(run: &TestRun) -> Size {
        let Ok(Outcome::Complete(Some(jpeg))) = &run.result else { panic!("{:?}", run.result) };
        assert!(jpeg.starts_with(&[0xff, 0xd8]), "not a JPEG");
        picture::decode(jpeg).unwrap().size()
    }

    fn rejected(job: TestJob) -> String {
        let failure = run(job).result.unwrap_err();
        assert!(failure.is_final(), "{failure:?}");
        failure.to_string()
    }

    #[test]
    fn a_jpeg_fits_the_default_box_and_keeps_its_aspect() {
        let run = run(TestJob::new("thumbnail").payload(ROCKET));
        let size = Size { width: 256, height: 171 };
        assert_eq!(size_of(&run), size);
        assert_eq!(run.logs[0].field("from"), Some("640x427"));
        assert_eq!(run.logs[0].field("to"), Some("256x171"));
    }

    #[test]
    fn headers_set_the_box() {
        let run = run(TestJob::new("thumbnail").payload(CAMERA).header("width", "300").header("height", "100"));
        let size = Size { width: 100, height: 100 };
        assert_eq!(size_of(&run), size);
    }

    #[test]
    fn a_picture_that_fits_is_not_enlarged() {
        let run = run(TestJob::new("thumbnail").payload(CAMERA).header("width", "2000").header("height", "2000"));
        let size = Size { width: 512, height: 512 };
        assert_eq!(size_of(&run), size);
    }

    #[test]
    fn a_corrupt_picture_is_final() {
        assert!(rejected(TestJob::new("thumbnail").payload(&CAMERA[..5_000])).contains("decode"));
        let text = rejected(TestJob::new("thumbnail").payload("a letter, not a photograph"));
        assert!(text.contains("neither JPEG nor PNG"), "{text}");
    }

    #[test]
    fn a_box_that_is_no_box_is_final() {
        for width in ["0", "-3", "wide", "100000"] {
            let job = TestJob::new("thumbnail").payload(CAMERA);
            let text = rejected(job.header("width", width));
            assert!(text.contains("1 to 2048 pixels"), "{text}");
        }
    }
}
