"""The exceptions of Earshot's own: all that pipeline/ raises on purpose, but for ValueError inside validators.

EarshotError             one clear line for a person; the command line prints it and exits with `exit_code`
  UnknownName            no brand, platform, rule or alert has that name (exit 1)
  ConflictError          what the command is about is in a state that does not allow it (exit 1)
  SettingsError          a setting is unknown, missing or wrong (exit 2)
  UnreachableError       the broker or ClickHouse can't be reached, refuses the login, or lacks a table (exit 3)
    Uncertain            an API did not answer in time, or not whole: it may have done what it was asked for
    NotDone              an act of the console was not begun, as ClickHouse does not answer
  MigrationError         the schema is half applied, or newer than this program (exit 4)
  StackError             the embedded stack can't start: a port is taken, the folder is in use, the disk is full (exit 5)
    JarsUnreachable      jars are not in the cache and can't be downloaded; `--broker auto` uses the light broker
  NotYet                 what a page of the console shows is still being asked for: the next load has it
  ReadFailed             a question of the console has no answer: the part of the page says why, and since when
    NoPlace              ClickHouse runs as many questions of this user as it may: it is asked again

Signals between two parts of the program. The caller handles each of them, so nobody ever reads their text as it is:

GivenUp                  the batch's generation is over: it must not be written, Kafka delivers its records again
OtherRules               roles.yaml or brands.yaml changed: the job of the rollups begins again, with what they say now
TooMuchError             ClickHouse has too little time or memory for a request: the caller asks for less
OutOfMemory              a GPU has too little memory for a batch of texts: the engine halves the batch
Unmappable               a row of a recorded file has no event: the row is reported and left out
NotJson                  bytes of a recorded file are no JSON, with the place in them: the row is reported
FileDamaged              a recorded file breaks off here: the rows before are read, the rest is reported
Unreadable               a platform's payload has another shape than its mapper knows: it is counted, and the source says so
  HtmlPage               it is a page in place of a feed, with the feeds that it offers
OutgoingError            a request to a source or receiver failed
  AddressRefused         the request must not go there: nothing is sent
    NotPublic            the address is not public, and no `allow` names it
  NoAnswer               no connection, or it broke off: another try may succeed
    TimedOut             the time of the request is over, or a stream is silent
  TooLarge               a body, line or message is over its limit
  BadAnswer              the answer is no HTTP, badly compressed, or a redirect that must not be followed
  NotAccepted            a stream or WebSocket is refused, with this status, headers and body
SourceError              a source can't go on now, for this reason: it tries again later
  Failed                 a request failed, or its answer makes no sense
    NoRules              the stream of X has no rule: somebody deleted ours
    Missing              an object of Meta's is not there, or not for this token
    StalePage            the token of a page of YouTube has ended
    NoAnswers            a thread of YouTube is gone, or may not be read
    NotThere             what a post or comment of VK has can't be read
  Waiting                the platform asks to wait until a time
    Spent                the source's budget for this month is spent
  NoCredentials          the platform refuses the credential, or there is none
Broken                   a session with a mail server can't go on
  Goodbye                the server ended it, with these words
Refused                  a mail server does not take the login, with these words
BadForm                  a form of the console has this status: it is too large, of another kind, or can't be read
LoginFailed              a login by OpenID Connect ends, for this reason
  ProviderAway           the provider does not answer as it should: another try may succeed
  UnknownKey             the id token's key is not known: the provider's keys are asked for again
QueryError               the embedded ClickHouse answers a statement with this code and message
RequestError             an API answers a request with this HTTP status and reason
"""

from __future__ import annotations


class EarshotError(Exception):
    """An error for a person: its text is one line that says what is wrong, and where it helps what to do."""

    exit_code = 1


class UnknownName(EarshotError):
    """No brand, platform, rule or alert has that name; the text says which exist."""


class ConflictError(EarshotError):
    """What the command is about exists, and its state does not allow the command; the text says why."""


class SettingsError(EarshotError):
    """A setting, or a file that a person writes, is unknown, missing or wrong; the text names file and key."""

    exit_code = 2


class UnreachableError(EarshotError):
    """The broker or ClickHouse does not answer, refuses the login, or lacks a table; the text names the address."""

    exit_code = 3


class MigrationError(EarshotError):
    """Tables or topics are not as this program needs them; the text says which command repairs it."""

    exit_code = 4


class StackError(EarshotError):
    """The embedded stack can't start; the text names the port, folder or disk."""

    exit_code = 5


def reason(error: BaseException) -> str:
    """A driver's error as one line for a person: the operating system's text where there is one, else the server's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if isinstance(cause, TimeoutError):
            return "no answer in time"
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
    text = str(error).split(" (for url ")[0].split("DB::Exception: ")[-1].split(" (version ")[0]
    lines = text.strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
