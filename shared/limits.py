"""Every bound of the product that crosses a room, with its unit and the reason for it.

A bound used inside one file only lives in that file. Add here before adding a queue, a loop, a body
or a retry; a bound nobody can find is no bound.
"""

from __future__ import annotations

from typing import Final

# --- receipts (docs/pricing.md): the language itself names these four.
RECEIPT_LINES_MAX: Final = 10_000
QUANTITY_MILLI_MAX: Final = 10**6 * 1000
PRICE_MINOR_MAX: Final = 10**10 * 100
RECEIPT_COUPONS_MAX: Final = 100
"""A till scans coupons by hand; a hundred is far beyond a human receipt."""

# --- local till API
TILL_BODY_BYTES_MAX: Final = 8 * 2**20
"""10,000 lines at ~400 bytes of JSON, doubled."""

# --- bundles
BUNDLE_BYTES_MAX: Final = 64 * 2**20
"""Compressed size on the wire; 10,000 promotions are expected to stay below 1.5 MB."""
BUNDLE_PAYLOAD_BYTES_MAX: Final = 256 * 2**20
"""After decompression, asked of the frame before anything is unpacked."""
BUNDLE_GOLDEN_MAX: Final = 200
"""Receipts; a shop prices them all before it lets a bundle in, in well under a second."""
BUNDLE_GOLDEN_BYTES_MAX: Final = 2 * 2**20
"""All of them, unpacked: 200 receipts of 50 lines take 1 MB, and one of 10,000 lines still fits."""

# --- record streams (edge to central)
BATCH_RECORDS_MAX: Final = 500
BATCH_RECORDS_FIRST: Final = 100
"""Until central has told how many: a shop's turn when all shops come back together."""
BATCH_FRAME_BYTES_MAX: Final = 256 * 2**10
"""Compressed: about half a minute on a 64 kbit/s link, so that a cut costs little."""
BATCH_RAW_BYTES_MAX: Final = 2 * 2**20
"""Uncompressed, counted while decompressing (a 32 KiB frame can hold 1 GiB)."""
RECORD_BYTES_MAX: Final = 2 * 2**20 - 1024

# --- change feed (central to edge)
FEED_PAGE_CHANGES_MAX: Final = 5_000
FEED_PAGE_BYTES_MAX: Final = 2**20
FEED_WAIT_S_MAX: Final = 55
"""Below the 60 s after which common proxies drop an idle request."""
FEED_CURSOR_CHARS_MAX: Final = 200
FEED_ENTRY_BYTES_MAX: Final = 2**17
"""One entry's payload; a product with every attribute takes a few KB."""
FEED_CHUNK_RAW_BYTES_MAX: Final = 2**18
"""A piece of a snapshot before compression: half a minute at 64 kbit/s is the most a cut costs."""
FEED_CHUNK_BYTES_MAX: Final = FEED_CHUNK_RAW_BYTES_MAX + 2**10
"""As it is sent: what does not compress grows by a header."""
FEED_CHUNKS_MAX: Final = 100_000
"""In one snapshot: 25 GB, far beyond what a store may have to know."""
TOMBSTONE_KEEP_DAYS: Final = 45
"""A shop that was away for less is told what was deleted; one that was away longer begins anew."""

# --- uplink requests of any other kind
UPLINK_BODY_BYTES_MAX: Final = 2**20
OUTBOX_DEPTH_REPORTED_MAX: Final = 10**12

# --- identifiers typed or scanned by people
IDENTIFIER_CHARS_MAX: Final = 200
ACKED_RECORD_KEEP_DAYS: Final = 45
"""Acknowledged records stay at the edge this long: a restored central is refilled from them."""
SALE_KEEP_DAYS: Final = 100
"""Sales that head office has stay at the edge this long; of older ones it is asked."""

# --- leases and the shop's own network
HOLD_PARTS_MAX: Final = 8
"""Leases that pay for one hold; a customer has one or two at a hub, gifts bring a few more."""
SUB_LEASE_PERCENT_MAX: Final = 20
"""Of one lease, for one till: what a dead hub makes unreachable is the other tills' loss."""
SUB_LEASES_PERCENT_MAX: Final = 50
"""Of one lease, for all tills together."""
SUB_LEASE_UNITS_MAX: Final = 500
"""Whole points, uses or minor units: what a stolen till can spend of one owner's asset."""
SUB_LEASES_PER_TILL_MAX: Final = 200
"""Open at one time: the regular customers of a till on a day without its hub."""
LEASE_CLOSES_PER_ROUND_MAX: Final = 200
"""Closes written in one transaction, so that tills do not wait for them."""
LAN_TIMEOUT_S: Final = 1.0
"""A till waits so long for its hub; a customer stands in front of it."""
LAN_PROMOTIONS_MAX: Final = 200
"""Budgets that a till asks about in one question; a receipt meets a few campaigns."""
LAN_USES_MAX: Final = 500
"""Counts of one customer in one message; a customer uses a few limited promotions in a period."""
LAN_BODY_BYTES_MAX: Final = 2**20
"""A batch's frame and its envelope fit several times."""
RELAY_BYTES_PER_TILL_MAX: Final = 64 * 2**20
"""About a year of a till's records, so that one broken till does not fill the hub's disk."""
RELAY_BYTES_MAX: Final = 512 * 2**20
"""Of all tills together on the hub's disk."""

# --- the shop's own memory of its records
TELEMETRY_RECORDS_MAX: Final = 10_000
"""What a shop keeps of telemetry until it is sent; then the oldest make room. Money never does."""
WITNESS_LEASES_MAX: Final = 2_000
"""Leases whose unconfirmed spends the witness names: as many as a hub holds at one time."""
JOURNAL_SEGMENT_BYTES_MAX: Final = 8 * 2**20
"""One file of the second journal: about a week of a hub's records, thrown away as a whole."""
RESERVE_BYTES: Final = 16 * 2**20
"""Kept back on the database's disk: about ten thousand sales when nothing else is left."""
RESERVE_MARGIN_BYTES: Final = 16 * 2**20
"""So much must be free beside the reserve before it is taken again: no see-saw at the brim."""
LOG_BYTES_MAX: Final = 64 * 2**20
"""The write-ahead log is cut back to this once nobody reads in it."""
READ_S_MAX: Final = 30.0
"""One reading. A longer one keeps the log from being folded into the database."""

# --- files carried by hand
SYNC_FILE_BYTES_MAX: Final = 256 * 2**20
"""Most of a year of a shop's receipts with their traces; what does not fit goes with the next."""
SYNC_PART_BYTES_MAX: Final = FEED_PAGE_BYTES_MAX + 2 * FEED_ENTRY_BYTES_MAX + 2**16
"""In memory at one time: a page of the feed is the largest there is."""
SYNC_HEADER_BYTES_MAX: Final = 4 * 2**10
SYNC_FILES_KEPT_MAX: Final = 20
"""Questions whose answers an agent still takes, and files that head office lists of an agent."""

# --- limits of promotions
PAST_USES_KEEP_DAYS: Final = 45
"""How long it is known what a customer used in a period that is over: records may come so late."""
USES_PER_RECEIPT_MAX: Final = 30_000
"""Counts, and likewise rights, that one receipt may use: three of every promotion there may be."""
