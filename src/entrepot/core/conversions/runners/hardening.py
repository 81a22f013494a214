"""What the libraries inside the sandbox are told before they see a file.

The sandbox holds without this; it makes the surface smaller and the limits kinder. For libvips
image/libvips.py says the like.
"""

from typing import Any

# ffmpeg: no network, no `concat`, `subfile`, `crypto`, `data`; no container that names other
# files (hls, dash, concat, sdp, image2 with its patterns, ...). For PyAV as well, as options.
FFMPEG_PROTOCOLS = "file,fd,pipe"
FFMPEG_MEDIA_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv,mxf,dv,ogg,"
    "mp3,aac,flac,wav,w64,aiff,caf,amr,ac3,eac3,ape,wv,tta,au"
)
FFMPEG_PICTURE_FORMATS = "png_pipe,jpeg_pipe,webp_pipe,gif"  # for watermarks, held stills
FFMPEG_INPUT_OPTIONS = (  # before each `-i` of a stored file
    "-protocol_whitelist",
    FFMPEG_PROTOCOLS,
    "-format_whitelist",
    FFMPEG_MEDIA_FORMATS,
)
FFMPEG_PICTURE_INPUT_OPTIONS = (
    "-protocol_whitelist",
    FFMPEG_PROTOCOLS,
    "-format_whitelist",
    FFMPEG_PICTURE_FORMATS,
)
FFMPEG_OPTIONS = ("-nostdin", "-hide_banner", "-loglevel", "error")  # before everything else
AV_OPTIONS = {"protocol_whitelist": FFMPEG_PROTOCOLS, "format_whitelist": FFMPEG_MEDIA_FORMATS}


def harden_pillow(pixels_max: int) -> Any:
    """The module PIL.Image, which refuses more pixels and no longer reads half a file."""
    from PIL import Image, ImageFile

    Image.MAX_IMAGE_PIXELS = pixels_max
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return Image
