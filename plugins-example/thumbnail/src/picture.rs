//! Pixels: decode within limits, shrink, encode.

use std::fmt;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

/// Bytes of pixels that a photograph may decode to: 44 megapixels in colour. A few kilobytes of PNG can
/// ask for gigabytes.
pub(crate) const MAX_DECODED: u64 = 128 << 20;

/// No camera makes a longer edge; a forged header does.
const MAX_EDGE: u32 = 20_000;

/// Of 100: where files get larger faster than thumbnails get better.
const JPEG_QUALITY: u8 = 82;

/// A decoded picture, and how it must be turned to be upright.
pub(crate) struct Picture {
    pixels: DynamicImage,
    orientation: Orientation,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Why bytes are no picture.
#[derive(Debug)]
pub(crate) enum DecodeError {
    Format,
    TooLarge(Size),
    Broken(ImageError),
}

/// Decode a JPEG or a PNG.
pub(crate) fn decode(bytes: &[u8]) -> Result<Picture, DecodeError> {
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().expect("reading from memory cannot fail");
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png)) {
        return Err(DecodeError::Format);
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_EDGE);
    limits.max_image_height = Some(MAX_EDGE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);

    let mut decoder = reader.into_decoder()?;
    // The limits bind the decoder's own buffers; the pixels themselves are allocated here.
    if decoder.total_bytes() > MAX_DECODED {
        return Err(DecodeError::TooLarge(decoder.dimensions().into()));
    }
    // A camera that was held upright says so here, and stores the picture lying down. A broken note
    // about it is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let pixels = DynamicImage::from_decoder(decoder)?;
    Ok(Picture { pixels, orientation })
}

impl Picture {
    /// As the picture is seen, upright.
    pub(crate) fn size(&self) -> Size {
        let size = Size::from((self.pixels.width(), self.pixels.height()));
        if lies(self.orientation) { size.turned() } else { size }
    }

    /// Fit a box, upright. What fits already is not enlarged.
    pub(crate) fn shrink(self, fit: Size) -> Self {
        let mut pixels = self.pixels;
        // Shrinking first makes the turning cheap, so the box is turned instead.
        let fit = if lies(self.orientation) { fit.turned() } else { fit };
        if pixels.width() > fit.width || pixels.height() > fit.height {
            pixels = pixels.thumbnail(fit.width, fit.height);
        }
        pixels.apply_orientation(self.orientation);
        Self { pixels, orientation: Orientation::NoTransforms }
    }

    pub(crate) fn to_jpeg(&self) -> Result<Vec<u8>, ImageError> {
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY);
        encoder.encode_image(&on_white(&self.pixels))?;
        Ok(jpeg)
    }
}

/// JPEG has no transparency; without this, what was transparent would become black.
fn on_white(pixels: &DynamicImage) -> RgbImage {
    if !pixels.color().has_alpha() {
        return pixels.to_rgb8();
    }
    let rgba = pixels.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0.map(u32::from);
        let blend = |channel: u32| ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        image::Rgb([blend(red), blend(green), blend(blue)])
    })
}

/// Whether width and height change places.
fn lies(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

impl Size {
    fn turned(self) -> Self {
        Self { width: self.height, height: self.width }
    }
}

impl From<(u32, u32)> for Size {
    fn from((width, height): (u32, u32)) -> Self {
        Self { width, height }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("the payload is neither JPEG nor PNG"),
            Self::TooLarge(size) => write!(f, "a picture of {size} is too large"),
            Self::Broken(error) => write!(f, "the picture cannot be decoded: {error}"),
        }
    }
}

impl From<ImageError> for DecodeError {
    fn from(error: ImageError) -> Self {
        Self::Broken(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROCKET: &[u8] = include_bytes!("../samples/rocket.jpg");
    const BOX: Size = Size { width: 128, height: 128 };

    /// The photograph with the note of a camera that was turned: an EXIF segment with that one tag.
    fn turned(orientation: u8) -> Vec<u8> {
        let tiff =
            [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat();
        let length = (2 + 6 + tiff.len() as u16).to_be_bytes();
        let (start, rest) = ROCKET.split_at(2);
        [start, b"\xff\xe1", &length, b"Exif\0\0", &tiff, rest].concat()
    }

    #[test]
    fn a_camera_held_upright_makes_an_upright_thumbnail() {
        let flat = decode(ROCKET).unwrap().shrink(BOX);
        assert_eq!(flat.size().to_string(), "128x85");

        let photo = decode(&turned(6)).unwrap();
        assert_eq!(photo.size().to_string(), "427x640");
        let upright = photo.shrink(BOX);
        assert_eq!(upright.size().to_string(), "85x128");
        assert_eq!(upright.pixels, flat.pixels.rotate90());
    }

    #[test]
    fn a_broken_note_about_the_orientation_is_ignored() {
        let photo = decode(&turned(77)).unwrap();
        assert_eq!(photo.size().to_string(), "640x427");
    }

    #[test]
    fn transparency_becomes_white() {
        let mut pixels = image::RgbaImage::from_pixel(2, 1, image::Rgba([200, 0, 0, 0]));
        pixels.put_pixel(1, 0, image::Rgba([200, 0, 0, 255]));
        let flat = on_white(&DynamicImage::ImageRgba8(pixels));
        assert_eq!(flat.get_pixel(0, 0).0, [255, 255, 255]);
        assert_eq!(flat.get_pixel(1, 0).0, [200, 0, 0]);
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        // A PNG header that promises 19,000 x 19,000 pixels.
        let mut bomb = include_bytes!("../samples/camera.png").to_vec();
        bomb[16..20].copy_from_slice(&19_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&19_000_u32.to_be_bytes());
        let checksum = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&checksum.to_be_bytes());

        let error = decode(&bomb).err().unwrap();
        assert!(matches!(error, DecodeError::TooLarge(_) | DecodeError::Broken(ImageError::Limits(_))), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes
            .iter()
            .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1))))
    }
}
