"""The whole error tree. A class carries a stable code, whether asking again can help, and one hint.

BacklaneError
├── DeclarationError        a job type is declared wrongly (raised at import)
├── SettingsError           a setting is missing or malformed (stops start-up)
├── StoreError              the database cannot be used
│   ├── StoreLocked         another worker holds this SQLite file
│   ├── StoreBusy           the database did not answer in time
│   ├── StoreFull           no room to write
│   └── StoreDamaged        the database file is damaged
├── CheckFailed             raised by a job type's check
├── ToolFailed              raised by a job type's tool
├── ActionFailed            raised by a job type's action: it surely did not happen
├── ServiceError            what a client of the service sees
│   ├── ServiceUnreachable  nobody answers at BACKLANE_URL
│   └── WaitTimeout         a waited-for job did not end in time
├── StaleJob                a guarded write found another version (internal, always caught)
└── Refusal                 a request that is answered with problem+json
    ├── Malformed           not JSON, or JSON this service does not take
    ├── TooLarge            over a declared size
    ├── BadSignature        an event that its sender did not sign
    ├── UnsupportedMedia    a file of a kind that is not taken, or not the one it claims to be
    ├── Unauthenticated     no key, or one that is not valid now
    ├── RoleRequired        the key's role may not do this
    ├── SeparationOfDuties  the requester may not decide this
    ├── NotFound            no such thing within sight
    ├── InvalidRequest      fields are missing, unknown or wrong
    ├── NotAllowed          the job's status does not allow this verb
    ├── NotAvailable        a part this job needs does not exist yet
    ├── IdempotencyConflict the key was used with another body
    ├── NotThisAttempt      a provider run belongs to something else
    ├── StalePayload        not the version that waits for a decision now
    ├── AlreadyDecided      the review has its decision, or this person's
    ├── Claimed             another reviewer is looking at it
    ├── ReviewExpired       the time to decide is over
    ├── AwaitingReview      content is closed until the review is decided
    └── NotReleased         content stays closed: the job ended unreleased
"""

from backlane.errors.deciding import (
    AlreadyDecided,
    AwaitingReview,
    Claimed,
    NotReleased,
    ReviewExpired,
    SeparationOfDuties,
    StalePayload,
)
from backlane.errors.refusals import (
    BadSignature,
    IdempotencyConflict,
    InvalidRequest,
    Malformed,
    NotAllowed,
    NotAvailable,
    NotFound,
    NotThisAttempt,
    Refusal,
    RoleRequired,
    TooLarge,
    Unauthenticated,
    UnsupportedMedia,
)
from backlane.errors.root import (
    ActionFailed,
    BacklaneError,
    CheckFailed,
    DeclarationError,
    ServiceError,
    ServiceUnreachable,
    SettingsError,
    StaleJob,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLocked,
    ToolFailed,
    WaitTimeout,
)

__all__ = [
    "ActionFailed",
    "AlreadyDecided",
    "AwaitingReview",
    "BacklaneError",
    "BadSignature",
    "CheckFailed",
    "Claimed",
    "DeclarationError",
    "IdempotencyConflict",
    "InvalidRequest",
    "Malformed",
    "NotAllowed",
    "NotAvailable",
    "NotFound",
    "NotReleased",
    "NotThisAttempt",
    "Refusal",
    "ReviewExpired",
    "RoleRequired",
    "SeparationOfDuties",
    "ServiceError",
    "ServiceUnreachable",
    "SettingsError",
    "StaleJob",
    "StalePayload",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "TooLarge",
    "ToolFailed",
    "Unauthenticated",
    "UnsupportedMedia",
    "WaitTimeout",
]
