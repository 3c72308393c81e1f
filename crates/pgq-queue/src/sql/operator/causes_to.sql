-- How far hosts have counted causes of failures.
SELECT walked, position FROM pgqueuer_retention WHERE walk = 'causes' AND walked IS NOT NULL
