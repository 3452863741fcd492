-- Run once, by the first primary. @replica and @app hold the passwords.
-- Neither account may write to a read-only server: READ ONLY ADMIN is not given to it.
DELETE FROM mysql.global_priv WHERE user = '';
FLUSH PRIVILEGES;
CREATE DATABASE IF NOT EXISTS app;
EXECUTE IMMEDIATE CONCAT('CREATE USER IF NOT EXISTS replica@''%'' IDENTIFIED BY ', QUOTE(@replica));
GRANT REPLICATION SLAVE ON *.* TO replica@'%';
EXECUTE IMMEDIATE CONCAT('CREATE USER IF NOT EXISTS app@''%'' IDENTIFIED BY ', QUOTE(@app));
GRANT ALL ON app.* TO app@'%';
