-- A user and a database of its own for each part of the system, at every start, so that a new password
-- in a secret file is a new password here.
\set airflow_password `cat /run/secrets/airflow_database_password`
\set mlflow_password `cat /run/secrets/mlflow_database_password`
\set predictions_password `cat /run/secrets/predictions_database_password`

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM (VALUES ('airflow'), ('mlflow'), ('predictions')) AS wanted(name)
 WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec

ALTER ROLE airflow PASSWORD :'airflow_password';
ALTER ROLE mlflow PASSWORD :'mlflow_password';
ALTER ROLE predictions PASSWORD :'predictions_password';

SELECT format('CREATE DATABASE %I OWNER %I', name, name)
  FROM (VALUES ('airflow'), ('mlflow'), ('predictions')) AS wanted(name)
 WHERE name NOT IN (SELECT datname FROM pg_database) \gexec

-- Nobody looks into another's database.
REVOKE ALL ON DATABASE airflow, mlflow, predictions, postgres, template1 FROM PUBLIC;
