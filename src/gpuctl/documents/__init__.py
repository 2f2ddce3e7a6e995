"""The public JSON. Keys are camelCase, instants RFC 3339 in UTC, amounts numbers in USD; unknown is null."""

SCHEMA_VERSION = 1
