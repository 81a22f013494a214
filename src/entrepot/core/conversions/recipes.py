"""Recipes: what to make of a media file. This page fixes the NORMALISED form for the runners.

A request's pipeline is checked, completed and put into one form by `compile_pipeline`
(pipelines.py). A runner never sees what a customer wrote: every key named below is there, every
default filled in, enumerations in lower case, numbers as int or float (int where whole).

Which runner. The source decides: image/* and SVG -> `image`; video/* -> `video`, but `audio`
where the output is audio; audio/* -> `audio`; PDF -> `document`; office documents ->
`office`, which makes a PDF of them and goes on as for one. A picture made from a video
(`frame`) or a page (`page`) is first read by its own runner, losslessly and with its colour
profile, and then given to the image runner as
`Recipe(runner="image", steps=those without frame and page, ...)`: so operations and settings of
pictures are written once. `recipe.operations` are the steps that change the picture, to be
applied in order; `recipe.setting(type)` is the value of a setting, or None.

A recipe of the runner `metadata` has no steps and no converter: its result is a file about one
asset, not about its bytes (metadata.py), so it is never kept as the result of a conversion.

Formats (extension: content type)
    pictures   jpg png webp avif tif gif heic, and pdf (one page showing the picture)
    videos     mp4 webm mov, and gif (animation)
    sounds     mp3 m4a ogg (Vorbis) opus flac wav

Reading. Orientation (EXIF, rotation of a video) is applied first, always; the output carries
none. Of a picture with several pages or frames the first is used, except gif or webp to gif or
webp: there every frame goes through the operations and the timing is kept. SVG and PDF pages are
drawn at the size that the first resize asks for (then `upscale` does not matter to it), else SVG
at its own size and pages at `dpi`, or at 150 without it.

Operations: image runner all of them; video runner (output video or gif) those marked V
V resize      {"width": int|null, "height": int|null, "fit": str, "upscale": bool}
              or {"percent": number, "upscale": bool}
              One side null: it follows from the proportions (fit is "inside" then). fit:
              inside   proportions kept, as large as fits into the box ("contain" means the same)
              outside  proportions kept, as small as covers the box; nothing is cut off
              cover    as outside, then cut to the box around the centre: exactly width x height
              pad      as inside, then centred on a canvas of exactly width x height filled with
                       the background
              fill     stretched to exactly width x height
              upscale false: nothing is enlarged. inside, outside: the picture stays as it is
              where it would grow. cover: the box shrinks, keeping its own proportions, until the
              picture covers it. pad: the picture stays as it is on the full canvas. fill: each
              side by itself stays as it is. longest_edge arrives as width = height, inside.
V crop        {"kind": "custom", "left": int, "top": int, "width": int, "height": int}
              pixels of the picture as it is at this point; what lies outside of it is left out;
              no pixel in common: Refused("crop-outside")
              {"kind": "size", "width": int, "height": int, "gravity": str}
              a part of that size (each side at most the picture's) taken at `gravity`
              {"kind": "ratio", "across": int, "down": int, "gravity": str}
              the largest part with that ratio (across:down in lowest terms), at `gravity`
              gravity: centre north south east west north-east north-west south-east south-west,
              and for pictures entropy (where most is going on) and attention (what draws the eye)
V rotate      number, 0 < n < 360, degrees clockwise; video: 90, 180, 270. Otherwise the canvas
              grows and its corners get the background
V flip        "h" mirrored left to right | "v" upside down
  trim        {"threshold": number 0..255} cuts off borders of the colour of the top left pixel,
              give or take the threshold; nothing but border: the picture stays
  blur        number 0.3..200, sigma of the Gaussian in pixels
  sharpen     {"sigma": 0.3..20, "amount": 0..10} unsharp mask on the lightness
  brightness  number -100..100, not 0: lightness L* times 1 + n/100
  contrast    number -100..100, not 0: L* moved away from 50, times 1 + n/100
  saturation  number -100..100, not 0: chroma times 1 + n/100; -100 is gray
V watermark   {"text": str, "source": null, ...} or {"text": null, "source": int, ...}
              source: index into recipe.watermark_sha256s (before `with_watermarks`: the key is
              "asset" instead, the id as text). Both with {"position": compass gravity,
              "opacity": 0 < n <= 1, "scale": 0 < n <= 1 (its width as a part of the
              picture's; it is never higher than the picture), "tile": bool (repeated over all of
              it, position unused), "colour": "#rrggbbaa" (of a text)}. A text that would be less
              than a pixel high: Refused("watermark-too-small")

Settings: once at most, in this order, after the operations
  background    "#rrggbbaa"; absent: transparent where the output can be, else white
  page          document runner. To a picture: int from 1, always there. To pdf: absent (all) or
                {"first": int, "last": int}. Beyond the end: Refused("page-outside")
  frame         video runner to a picture, always there: {"seconds": number} or {"percent":
                0..100 of the duration}. Beyond the end: Refused("frame-outside")
  colorSpace    pictures, always there: "auto" (the source's, with its profile, where the format
                can carry it, else sRGB) | "srgb" | "p3" | "cmyk" | "gray". Converted by
                profiles, after all operations
  colorProfile  pictures, always there: "embed" | "strip"
  dpi           int; pictures: the density noted in the file (no pixel changes; pdf: decides the
                page's size, 150 when absent); pages: also the resolution that they are drawn at
  metadata      "keep" | "copyright" (copyright, creator, credit and usage terms only) | "strip";
                always there. Times of encoding and names of encoders are never written: the same
                input and recipe give the same bytes
  quality       int 1..100, always there for jpg webp avif heic and a picture to pdf; no other
  maxBytes      int; jpg webp avif heic: quality is lowered, to 10 at the least, until the file
                is that small, else Refused("max-bytes")
  video         always there for mp4 webm mov gif: {"codec": "h264"|"h265"|"vp8"|"vp9"|"av1"|
                "gif", "fps": number|null (as it is; never raised), "crf": int|null,
                "bitrate_kbps": int|null (just one of the two; gif: neither), "start_seconds":
                number, "duration_seconds": number|null (to the end), "mute": bool,
                "audio_codec": "aac"|"opus"|"vorbis"|null, "audio_bitrate_kbps": int|null (both
                null where muted)}. Sides are rounded down to even numbers. 8 bits 4:2:0, index
                first (faststart)
  audio         always there for sounds: {"codec": "mp3"|"aac"|"vorbis"|"opus"|"flac"|"pcm",
                "bitrate_kbps": int|null (flac, wav), "channels": 1|2|null (as they are),
                "sample_rate_hz": int|null, "start_seconds": number, "duration_seconds":
                number|null}. A start beyond the end: Refused("start-outside")
  source        office runner, always there: the content type of the source
"""

from entrepot.core.conversions._recipe import (
    OPERATIONS,
    SETTINGS,
    Recipe,
    Step,
    canonical_json,
    converter_version,
    recipe_from_document,
    recipe_to_document,
)
from entrepot.core.conversions.pipelines import (
    PIPELINE_LENGTH_MAX,
    STEP_TYPES,
    asset_watermarks,
    compile_pipeline,
    with_watermarks,
)

__all__ = [
    "OPERATIONS",
    "PIPELINE_LENGTH_MAX",
    "SETTINGS",
    "STEP_TYPES",
    "Recipe",
    "Step",
    "asset_watermarks",
    "canonical_json",
    "compile_pipeline",
    "converter_version",
    "recipe_from_document",
    "recipe_to_document",
    "with_watermarks",
]
