"""The error catalogue: the hub itself, and starting it."""

from collections.abc import Mapping

from entrepot.web.http._catalogue_entry import Entry

HUB: Mapping[str, Entry] = {
    "error": Entry(500, "A defect of the hub.", "Tell its operator the request id."),
    "unavailable": Entry(503, "The hub cannot do it now.", "Try again after `Retry-After`."),
    "database-busy": Entry(503, "The database is busy.", "Try again after `Retry-After`."),
    "database-down": Entry(
        503, "The database does not answer.", "Try again later; operators: see the log."
    ),
    "blobs-unavailable": Entry(
        503,
        "The folder with the stored files cannot be used.",
        "Operators: see the message; mount it or mend its permissions.",
    ),
    "bytes-missing": Entry(
        503,
        "The stored bytes of the file are missing or damaged.",
        "The operator has to restore them from a backup.",
    ),
    "storage-full": Entry(
        507,
        "There is no room for new bytes; nothing was kept of this upload.",
        "Operators: free some space. Downloads go on.",
    ),
    # Bundles from another hub
    "bundle-invalid": Entry(
        400,
        "A bundle is damaged, incomplete, or no bundle at all; nothing of it was imported.",
        "Copy it again and compare its digest; else have it made again.",
    ),
    "bundle-unsigned": Entry(
        400,
        "Nothing says who vouches for a bundle.",
        "Name the publisher's root (--root FILE), or trust whoever brought it (--unsigned).",
    ),
    "bundle-untrusted": Entry(
        400,
        "A release in a bundle is not what a trusted publisher signed.",
        "Compare the fingerprint of the root with what the publisher says.",
    ),
    "manifest-clash": Entry(
        409,
        "The signatures of a bundle do not fit what is signed here of the product.",
        "Make the bundle anew; if that does not help, ask the publisher.",
    ),
    "release-differs": Entry(
        409,
        "A release in a bundle has the id or the name of another one here.",
        "Ask which of the two is right; another name here: `--product-map`.",
    ),
    "licence-differs": Entry(
        409,
        "A revision of a licence in a bundle has another text here.",
        "Import the product under one of this hub that has its own licence: `--product-map`.",
    ),
    # Starting the hub
    "already-serving": Entry(
        0,
        "Another `entrepotd serve` works on the data folder.",
        "Stop that one first, or choose another folder.",
    ),
    "settings-invalid": Entry(
        0,
        "One or more settings are wrong; every fault is listed.",
        "Mend the named variables; see the settings page.",
    ),
    "media-rules-invalid": Entry(
        0,
        "The file of media rules has faults; every one is listed.",
        "Mend the file that ENTREPOT_MEDIA_RULES names.",
    ),
    "identity-providers-invalid": Entry(
        0,
        "The file of identity providers has faults; every one is listed.",
        "Mend the file that ENTREPOT_IDENTITY_PROVIDERS names.",
    ),
    "folder-not-writable": Entry(
        0,
        "The data folder cannot be written.",
        "Choose another, or give the hub's user write access.",
    ),
    "database-newer": Entry(
        0,
        "The database was used by a newer version of Entrepot.",
        "Install that version or a later one, or restore a backup.",
    ),
    "database-older": Entry(0, "The database needs a migration.", "Run `entrepotd migrate`."),
    "secret-key-wrong": Entry(
        0,
        "The keys in the database were sealed with another secret key.",
        "Check that the data folder is the right one, then give back the secret key that its "
        "database was made with.",
    ),
    "is-a-sandbox": Entry(
        0,
        "The folder was made by `entrepotd serve --sandbox`; its secrets are no secrets.",
        "Serve it with --sandbox, or choose another folder.",
    ),
    "sandbox-elsewhere": Entry(
        0,
        "A sandbox whose database or files lie outside of its folder cannot be reset.",
        "Empty them yourself, remove the folder, and start the sandbox again.",
    ),
    "not-a-sandbox": Entry(
        0,
        "The folder was not made by `entrepotd serve --sandbox`.",
        "Name the sandbox's folder, or start one in an empty folder.",
    ),
    "sandbox-damaged": Entry(
        0,
        "The file with the sandbox's secrets cannot be read.",
        "Delete the sandbox's folder and start it again.",
    ),
    "installation-incomplete": Entry(
        0, "A file of the installation is missing.", "Install Entrepot again."
    ),
    "secret-key-missing": Entry(
        0,
        "The hub has no secret key, or the one it was given is no good.",
        "Let `entrepotd init` make one, or set ENTREPOT_SECRET_KEY_FILE.",
    ),
    "port-taken": Entry(
        0,
        "Another program listens on the port, or this user may not.",
        "Choose another port with --bind.",
    ),
    "address-invalid": Entry(
        0, "The address to listen on is not one of this machine.", "Choose another with --bind."
    ),
    "keys-missing": Entry(0, "The hub has no key to sign with.", "Run `entrepotd migrate`."),
}
