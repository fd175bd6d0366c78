"""S3: buckets and objects with versions, ranges, conditions, multipart uploads, checksums and copies; policies,
public-access block, CORS rules, lifecycle, object lock, and notifications to Lambda.

Bodies up to 32 KiB are part of their row, larger ones are blobs. Kept without effect: request payment, transfer
acceleration, storage classes (but that archived objects cannot be read). Left out, and refused by name:
website hosting, logging, replication, SSE-C and SSE-KMS, ACLs that give others access, and
notifications to queues, topics and EventBridge.
"""

from pilotlight.services.s3.service import collect_orphans, make_parts

__all__ = ["collect_orphans", "make_parts"]
