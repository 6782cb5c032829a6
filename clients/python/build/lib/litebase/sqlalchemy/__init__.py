"""SQLAlchemy over LiteBase: `create_engine("sqlite+litebase:///NAME")`, for SQLAlchemy 1.4 and 2.

The dialects are SQLAlchemy's own of the three engines, with this package's driver beneath; for asyncio, too:

    sqlite+litebase:///shop               the database that the daemon calls "shop"
    postgresql+litebase:///shop           likewise, where it is PostgreSQL's; mysql+litebase, mariadb+litebase
    sqlite+litebase://                    the caller's default database
    sqlite+litebase:////srv/shop.db       a file
    sqlite+litebase:///:memory:           in memory, for one connection
    …?socket=/run/x.sock&timeout=5        parameters of litebase.connect: socket, url, timeout, connect_timeout, begin, read_only

SQLAlchemy finds them when the package is installed (entry points, `sqlalchemy.dialects`).
"""
