# needs: sqlite3
# Inserts, indexes, joins, window functions, JSON, a transaction rolled back, vacuum and dump.
. "$LIB"
cat >work.sql <<'S'
create table t(id integer primary key, name text, v integer);
create table u(id integer primary key, t_id integer references t(id), w real);
begin;
with recursive c(x) as (select 1 union all select x + 1 from c where x < 60000) insert into t select x, 'name ' || (x * 7919 % 1000), x * 31 % 997 from c;
insert into u select id, (id * 13) % 60000 + 1, id / 3.0 from t;
commit;
create index t_name on t(name); create index u_t on u(t_id);
select count(*), sum(v), round(sum(w), 2) from t join u on u.t_id = t.id where t.name like 'name 1%';
select name, count(*) c, group_concat(id) from t where id < 4000 group by name having c > 3 order by c desc, name limit 3;
select id, sum(v) over (order by id rows 10 preceding) from t where id % 6000 = 0;
begin; delete from t where v > 100; select count(*) from t; rollback; select count(*) from t;
update t set name = upper(name) where id % 2; select json_group_array(json_object('id', id, 'n', name)) from t where id < 5;
create virtual table f using fts5(body); insert into f select name from t limit 5000; select count(*) from f where f match '42*';
vacuum; pragma integrity_check; analyze;
select * from missing;
S
set +e; sqlite3 work.db <work.sql; echo "status $?"; sqlite3 work.db .dump | sums /dev/stdin
sqlite3 work.db '.mode table' 'select * from t where id < 4' 'explain query plan select * from t where name = 1'
exit 0
