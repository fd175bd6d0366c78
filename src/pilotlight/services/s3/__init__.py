"""S3: buckets and objects with versions, ranges, conditions, multipart uploads, checksums and copies; policies,
ACLs, public-access block, CORS rules, lifecycle, object lock, websites, restores, and notifications to
functions, queues and topics.

Bodies up to 32 KiB are part of their row, larger ones are blobs. Kept without effect: request payment, transfer
acceleration, logging, storage classes (but that archived objects have to be restored); customers' keys (SSE-C) are
asked for, but encrypt nothing. Left out, and refused by name: replication, SSE-KMS, and notifications to EventBridge.
Objects belong to their bucket's owner also where another account wrote them and ACLs are on.
"""

from pilotlight.services.s3.service import collect_orphans, make_parts

__all__ = ["collect_orphans", "make_parts"]
