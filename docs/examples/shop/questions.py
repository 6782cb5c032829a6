"""Questions to the shop. `ask(d)` gives the SQL in the words of a dialect (schema.py); all engines answer the same.

What keeps the answers the same: every ORDER BY ends with something unique and says where NULLs go (`x IS NULL, x`), sums
of money are rounded before they are compared, whole numbers are divided as such, and text is sorted by its code points.
"""

from typing import Callable, NamedTuple


class Question(NamedTuple):
    name: str
    ask: Callable
    params: tuple = ()


SPENT = "ROUND(SUM(l.price * l.quantity), 2)"
LINES = "invoice i JOIN invoice_line l ON l.invoice = i.id"

QUESTIONS = [
    Question("customers by country", lambda d: f"""
        SELECT country, COUNT(*) AS customers, COUNT(company) AS companies, COUNT(DISTINCT city) AS cities
        FROM customer GROUP BY country ORDER BY customers DESC, country"""),
    Question("revenue by month", lambda d: f"""
        SELECT {d.month('i.issued')} AS month, COUNT(DISTINCT i.id) AS invoices, SUM(l.quantity) AS pieces, {SPENT} AS revenue
        FROM {LINES} GROUP BY {d.month('i.issued')} ORDER BY month"""),
    Question("best customers", lambda d: f"""
        SELECT c.id, {d.joined('c.last_name', "', '", 'c.first_name')} AS name, c.company, {SPENT} AS spent
        FROM customer c JOIN invoice i ON i.customer = c.id JOIN invoice_line l ON l.invoice = i.id
        GROUP BY c.id, c.last_name, c.first_name, c.company ORDER BY spent DESC, c.id LIMIT 15"""),
    Question("vinyl that nobody has bought", lambda d: """
        SELECT t.id, t.title, a.name FROM track t JOIN album b ON b.id = t.album JOIN artist a ON a.id = b.artist
        WHERE t.media_type = 4 AND NOT EXISTS (SELECT 1 FROM invoice_line l WHERE l.track = t.id) ORDER BY t.id"""),
    Question("share of the genres", lambda d: f"""
        SELECT g.name, {SPENT} AS revenue,
            ROUND(100 * SUM(l.price * l.quantity) / SUM(SUM(l.price * l.quantity)) OVER (), 2) AS percent
        FROM invoice_line l JOIN track t ON t.id = l.track JOIN genre g ON g.id = t.genre
        GROUP BY g.name ORDER BY revenue DESC, g.name"""),
    Question("three best tracks of each genre", lambda d: """
        WITH sold AS (SELECT t.genre, t.id, t.title, SUM(l.quantity) AS pieces
            FROM track t JOIN invoice_line l ON l.track = t.id GROUP BY t.genre, t.id, t.title),
        ranked AS (SELECT s.*, ROW_NUMBER() OVER (PARTITION BY genre ORDER BY pieces DESC, id) AS place FROM sold s)
        SELECT g.name, r.place, r.title, r.pieces FROM ranked r JOIN genre g ON g.id = r.genre WHERE r.place <= 3
        ORDER BY g.id, r.place"""),
    Question("months, running total and change", lambda d: f"""
        WITH months AS (SELECT {d.month('i.issued')} AS month, {SPENT} AS revenue FROM {LINES} GROUP BY {d.month('i.issued')})
        SELECT month, revenue, ROUND(SUM(revenue) OVER (ORDER BY month), 2) AS total,
            ROUND(revenue - LAG(revenue) OVER (ORDER BY month), 2) AS change_since,
            RANK() OVER (ORDER BY revenue DESC) AS place
        FROM months ORDER BY month"""),
    Question("who reports to whom", lambda d: f"""
        WITH RECURSIVE chain(id, name, boss, depth, way) AS (
            SELECT id, name, reports_to, 0, {d.text('id')} FROM employee WHERE reports_to IS NULL
            UNION ALL
            SELECT e.id, e.name, e.reports_to, c.depth + 1, {d.text(d.joined('c.way', "'/'", d.text('e.id')))}
            FROM employee e JOIN chain c ON e.reports_to = c.id)
        SELECT id, name, boss, depth, way FROM chain ORDER BY depth, id"""),
    Question("people below each employee, and what they earn", lambda d: """
        WITH RECURSIVE below(boss, id, salary) AS (
            SELECT reports_to, id, salary FROM employee WHERE reports_to IS NOT NULL
            UNION ALL
            SELECT e.reports_to, b.id, b.salary FROM below b JOIN employee e ON e.id = b.boss WHERE e.reports_to IS NOT NULL)
        SELECT e.id, e.name, e.is_active, COUNT(*) AS people, ROUND(SUM(b.salary), 2) AS salaries
        FROM below b JOIN employee e ON e.id = b.boss GROUP BY e.id, e.name, e.is_active ORDER BY people DESC, e.id"""),
    Question("invoices that were paid late, or not", lambda d: f"""
        SELECT i.id, i.issued, i.paid, {d.days_between('i.issued', 'i.paid')} AS days, i.discount
        FROM invoice i WHERE i.paid IS NULL OR {d.days_between('i.issued', 'i.paid')} > 30
        ORDER BY i.paid IS NULL, days DESC, i.discount IS NULL, i.discount, i.id"""),
    Question("names and addresses", lambda d: f"""
        SELECT {d.joined('first_name', "' '", 'last_name')} AS name, {d.length('last_name')} AS letters,
            REPLACE(email, '@', ' at ') AS mail, UPPER(SUBSTR(email, 1, 8)) AS short, TRIM(COALESCE(phone, '  none ')) AS phone
        FROM customer WHERE {d.length('first_name')} <= 4 OR last_name LIKE '%ü%'
        ORDER BY {d.sorted('last_name')}, {d.sorted('first_name')}, id"""),
    Question("middle length of the tracks of a genre", lambda d: f"""
        WITH ordered AS (SELECT genre, milliseconds, ROW_NUMBER() OVER (PARTITION BY genre ORDER BY milliseconds, id) AS place,
            COUNT(*) OVER (PARTITION BY genre) AS total FROM track)
        SELECT g.name, o.total, o.milliseconds, {d.divided('o.milliseconds', '60000')} AS minutes
        FROM ordered o JOIN genre g ON g.id = o.genre WHERE o.place = {d.divided('o.total + 1', '2')}
        ORDER BY g.name"""),
    Question("quarters of the customers by what they spend", lambda d: f"""
        WITH spending AS (SELECT i.customer, {SPENT} AS spent FROM {LINES} GROUP BY i.customer),
        quarters AS (SELECT spent, NTILE(4) OVER (ORDER BY spent DESC, customer) AS quarter FROM spending)
        SELECT quarter, COUNT(*) AS customers, MIN(spent) AS least, MAX(spent) AS most, ROUND(SUM(spent), 2) AS total
        FROM quarters GROUP BY quarter ORDER BY quarter"""),
    Question("stars by artist", lambda d: f"""
        SELECT a.id, a.name, COUNT(*) AS reviews, {d.divided('SUM(r.stars * 100)', 'COUNT(*)')} AS hundredths,
            SUM(CASE WHEN r.stars = 5 THEN 1 ELSE 0 END) AS best, SUM(CASE WHEN r.is_verified THEN 1 ELSE 0 END) AS verified
        FROM review r JOIN album b ON b.id = r.album JOIN artist a ON a.id = b.artist
        GROUP BY a.id, a.name HAVING COUNT(*) >= 8 ORDER BY hundredths DESC, a.id"""),
    Question("covers", lambda d: f"""
        SELECT id, {d.octets('cover')} AS octets, {d.hexadecimal('SUBSTR(cover, 1, 4)')} AS magic, cover, released
        FROM album ORDER BY cover IS NULL, octets DESC, id"""),
    Question("prices on a day", lambda d: f"""
        SELECT t.id, t.title, h.price AS then_price, t.price AS now_price, t.price - h.price AS difference, h.valid_from, h.valid_to
        FROM price_history h JOIN track t ON t.id = h.track
        WHERE h.valid_from <= {d.mark(1)} AND (h.valid_to IS NULL OR h.valid_to >= {d.mark(2)}) AND h.price <> t.price
        ORDER BY h.id LIMIT 200""", ("2022-06-30", "2022-06-30")),
    Question("what to order again", lambda d: f"""
        SELECT s.album, p.name, p.rating, s.reorder_below - s.quantity AS missing, s.cost * (s.reorder_below - s.quantity) AS cost,
            s.counted
        FROM stock s JOIN supplier p ON p.id = s.supplier WHERE s.quantity < s.reorder_below
        ORDER BY s.counted IS NULL DESC, s.counted, p.rating IS NULL, p.rating DESC, s.album, p.id"""),
    Question("playlists that are alike", lambda d: """
        SELECT x.playlist, y.playlist, COUNT(*) AS common
        FROM playlist_track x JOIN playlist_track y ON y.track = x.track AND y.playlist > x.playlist
        GROUP BY x.playlist, y.playlist HAVING COUNT(*) >= 4 ORDER BY common DESC, x.playlist, y.playlist"""),
    Question("first and last invoice of faithful customers", lambda d: f"""
        SELECT customer, COUNT(*) AS invoices, MIN(issued) AS earliest, MAX(issued) AS latest,
            {d.days_between('MIN(issued)', 'MAX(issued)')} AS days
        FROM invoice GROUP BY customer HAVING COUNT(*) > 6 ORDER BY days DESC, customer"""),
    Question("invoices by month of the year, empty ones too", lambda d: f"""
        WITH RECURSIVE months(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM months WHERE n < 13)
        SELECT m.n, COUNT(i.id) AS invoices, COALESCE(SUM(i.discount), 0) AS discounts
        FROM months m LEFT JOIN invoice i ON SUBSTR({d.month('i.issued')}, 6, 2) = SUBSTR({d.text('100 + m.n')}, 2, 2)
        GROUP BY m.n ORDER BY m.n"""),
    Question("countries of artists and customers", lambda d: """
        SELECT 'both' AS which, country FROM (SELECT country FROM artist INTERSECT SELECT country FROM supplier) AS b
        UNION ALL
        SELECT 'artists only', country FROM (SELECT country FROM artist EXCEPT SELECT country FROM supplier) AS a
        ORDER BY which, country"""),
    Question("loudness", lambda d: """
        SELECT m.name, m.is_physical, COUNT(t.loudness) AS measured, MIN(t.loudness) AS least, MAX(t.loudness) AS most,
            SUM(t.loudness) AS total, SUM(t.bytes) AS bytes
        FROM track t JOIN media_type m ON m.id = t.media_type GROUP BY m.id, m.name, m.is_physical ORDER BY m.id"""),
    Question("what people write", lambda d: f"""
        SELECT body, COUNT(*) AS times, MIN(stars) AS worst, MAX(written) AS latest FROM review
        WHERE body = {d.mark(1)} OR body LIKE {d.mark(2)} OR body IS NULL
        GROUP BY body ORDER BY body IS NULL, {d.sorted('body')}""", ("最高のアルバム", "%ß%")),
]
